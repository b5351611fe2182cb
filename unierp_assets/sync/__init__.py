"""The sync engine: extract, stage, merge, plan, apply, agree, reconcile. It knows no Dagster."""
