"""What the sample shop is made of: its countries, taxes, catalogue vocabulary, and pools of names.

Belongs here: constants and :func:`name_pools`, which asks Faker once for a pool instead of once for a row. Does not
belong here: which rows are made of it (``rows.py``). Brands, hosts and telephone numbers are invented; the numbers
lie in the ranges the countries' regulators set aside for fiction.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Final

from faker import Faker

REFERENCE: Final = datetime(2026, 6, 30, tzinfo=UTC)
"""The sample's present. Nothing in it depends on the clock."""
PERIOD_DAYS: Final = 90
"""Everything was last changed within these days before the reference."""
CENTS: Final = 100
"""All currencies of the sample have two decimals."""


@dataclass(frozen=True)
class Country:
    """One of the countries the sample shop sells to. ``cities``: city, first digits of its postcodes, region."""

    code: str
    locale: str
    language: str
    currency: str
    carrier: str
    prices_include_tax: bool
    postcode_digits: int
    cities: tuple[tuple[str, str, str | None], ...]
    phones: tuple[str, ...]


COUNTRIES: Final = (
    Country(
        code="US",
        locale="en_US",
        language="en-US",
        currency="USD",
        carrier="ups",
        prices_include_tax=False,
        postcode_digits=5,
        cities=(
            ("Los Angeles", "900", "CA"),
            ("Sacramento", "958", "CA"),
            ("San Diego", "921", "CA"),
            ("New York", "100", "NY"),
            ("Buffalo", "142", "NY"),
            ("Houston", "770", "TX"),
            ("Austin", "787", "TX"),
            ("Portland", "972", "OR"),
            ("Eugene", "974", "OR"),
        ),
        phones=tuple(
            f"+1 ({area}) 555-01##" for area in (212, 213, 310, 415, 503, 512, 541, 585, 619, 646, 713, 716, 737, 916)
        ),
    ),
    Country(
        code="GB",
        locale="en_GB",
        language="en-GB",
        currency="GBP",
        carrier="royal_mail",
        prices_include_tax=True,
        postcode_digits=0,
        cities=(
            ("London", "SE1", None),
            ("London", "N7", None),
            ("Leeds", "LS6", None),
            ("Sheffield", "S10", None),
            ("Nottingham", "NG7", None),
            ("Leicester", "LE2", None),
            ("Bristol", "BS6", None),
            ("Manchester", "M14", None),
            ("Liverpool", "L15", None),
        ),
        phones=tuple(f"+44 {area} 0###" for area in ("20 7946", "113 496", "114 496", "116 496", "117 496", "161 496")),
    ),
    Country(
        code="DE",
        locale="de_DE",
        language="de-DE",
        currency="EUR",
        carrier="dhl",
        prices_include_tax=True,
        postcode_digits=5,
        cities=(
            ("Berlin", "104", None),
            ("Hamburg", "223", None),
            ("München", "803", None),
            ("Köln", "506", None),
            ("Frankfurt am Main", "603", None),
            ("Leipzig", "042", None),
            ("Dresden", "012", None),
        ),
        phones=("+49 30 23125###", "+49 40 66969###", "+49 69 90009###", "+49 89 99998###", "+49 221 4710###"),
    ),
    Country(
        code="FR",
        locale="fr_FR",
        language="fr-FR",
        currency="EUR",
        carrier="colissimo",
        prices_include_tax=True,
        postcode_digits=5,
        cities=(
            ("Paris", "750", None),
            ("Lyon", "690", None),
            ("Marseille", "130", None),
            ("Toulouse", "310", None),
            ("Nantes", "440", None),
            ("Lille", "590", None),
            ("Orléans", "450", None),
        ),
        phones=(
            "+33 1 99 00 ## ##",
            "+33 2 61 91 ## ##",
            "+33 3 53 01 ## ##",
            "+33 4 65 71 ## ##",
            "+33 5 36 49 ## ##",
        ),
    ),
)

CURRENCIES: Final = (("USD", "US dollar"), ("GBP", "Pound sterling"), ("EUR", "Euro"))
EXCHANGE_RATES: Final = {"GBP": 790_000, "EUR": 920_000}
"""Millionths of the currency for a US dollar, where the walk of daily rates starts."""


@dataclass(frozen=True)
class Tax:
    """A tax of the sample. ``region`` narrows it to a state."""

    code: str
    name: str
    country: str
    rate: Decimal
    included: bool
    region: str | None = None


TAXES: Final = (
    Tax("US-CA", "California sales tax 7.25%", "US", Decimal("7.25"), False, "CA"),
    Tax("US-NY", "New York sales tax 8.875%", "US", Decimal("8.875"), False, "NY"),
    Tax("US-TX", "Texas sales tax 6.25%", "US", Decimal("6.25"), False, "TX"),
    Tax("GB-INCL", "UK VAT 20% included", "GB", Decimal("20"), True),
    Tax("GB-EXCL", "UK VAT 20%", "GB", Decimal("20"), False),
    Tax("DE-INCL", "USt. 19% enthalten", "DE", Decimal("19"), True),
    Tax("DE-EXCL", "USt. 19%", "DE", Decimal("19"), False),
    Tax("FR-INCL", "TVA 20% comprise", "FR", Decimal("20"), True),
    Tax("FR-EXCL", "TVA 20%", "FR", Decimal("20"), False),
)
"""Oregon has no sales tax: lines of orders from there have none."""


def tax_for(country: str, region: str | None, included: bool) -> Tax | None:
    """The tax a line sold to this place is under, or none."""
    for tax in TAXES:
        if tax.country == country and tax.included == included and tax.region in (None, region):
            return tax
    return None


@dataclass(frozen=True)
class Attribute:
    """An attribute with its values: name and short code for the SKU."""

    name: str
    values: tuple[tuple[str, str], ...]


COLOUR: Final = Attribute(
    "Colour",
    (
        ("Black", "BLK"),
        ("White", "WHT"),
        ("Silver", "SLV"),
        ("Blue", "BLU"),
        ("Red", "RED"),
        ("Green", "GRN"),
        ("Gold", "GLD"),
    ),
)
STORAGE: Final = Attribute(
    "Storage", (("64 GB", "064"), ("128 GB", "128"), ("256 GB", "256"), ("512 GB", "512"), ("1 TB", "1TB"))
)
GRADE: Final = Attribute("Grade", (("A - like new", "A"), ("B - good", "B"), ("C - fair", "C")))
ATTRIBUTES: Final = (COLOUR, STORAGE, GRADE)


@dataclass(frozen=True)
class Family:
    """A kind of product: its category path, model lines, range of prices (USD, whole) and weight (grams)."""

    path: tuple[str, ...]
    lines: tuple[str, ...]
    noun: str
    prices: tuple[int, int]
    grams: tuple[int, int]
    attributes: tuple[Attribute, ...]
    share: int


FAMILIES: Final = (
    Family(
        ("Phones", "Smartphones"),
        ("Nova", "Pulse", "Edge", "Mini"),
        "smartphone",
        (119, 799),
        (150, 240),
        (COLOUR, STORAGE, GRADE),
        24,
    ),
    Family(("Phones", "Feature phones"), ("Tone", "Senior"), "phone", (29, 69), (80, 130), (COLOUR, GRADE), 4),
    Family(
        ("Computers", "Laptops", "Business"),
        ("Workmate", "Latix"),
        "laptop",
        (249, 1299),
        (1200, 2400),
        (STORAGE, GRADE),
        10,
    ),
    Family(
        ("Computers", "Laptops", "Home"),
        ("Airy", "Swift"),
        "laptop",
        (199, 899),
        (1100, 2200),
        (COLOUR, STORAGE, GRADE),
        8,
    ),
    Family(("Computers", "Desktops"), ("Tower", "Cube"), "desktop computer", (149, 999), (3000, 9000), (GRADE,), 6),
    Family(("Tablets",), ("Slate", "Pad"), "tablet", (99, 699), (300, 700), (COLOUR, STORAGE, GRADE), 12),
    Family(("Wearables",), ("Watch", "Band"), "smartwatch", (49, 299), (30, 70), (COLOUR, GRADE), 8),
    Family(("Accessories", "Cases"), ("Shell", "Folio"), "case", (9, 39), (20, 90), (COLOUR,), 10),
    Family(("Accessories", "Chargers and cables"), ("Volt", "Link"), "charger", (9, 49), (40, 260), (), 10),
    Family(("Accessories", "Headphones"), ("Tune", "Hush"), "headphones", (19, 199), (40, 320), (COLOUR, GRADE), 8),
)

BRANDS: Final = (
    "Aurino", "Brellin", "Corvane", "Dalux", "Ferrow", "Halden", "Kestrin", "Lumera", "Nordwell", "Ostara",
    "Pelion", "Quorra", "Sylvane", "Tessik", "Umbriel", "Veltro",
)  # fmt: skip

CUSTOMER_GROUPS: Final = ("Retail", "Trade", "VIP", "Newsletter")
LOCATIONS: Final = (("RNO", "Reno warehouse", "US"), ("LEI", "Leicester warehouse", "GB"))
PERCENT_COUPONS: Final = {"SPRING10": 10, "BACK15": 15, "STUDENT5": 5}
FIXED_COUPON: Final = ("TENOFF", 10 * CENTS)
SHIPPING_CENTS: Final = {"USD": (599, 899), "GBP": (499, 799), "EUR": (599, 799)}


@dataclass(frozen=True)
class Names:
    """Pools of a country's names."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    streets: tuple[str, ...]
    companies: tuple[str, ...]


@cache
def name_pools(seed: int) -> dict[str, Names]:
    """Pools of names by country code, the same for the same seed and release of Faker."""
    pools = {}
    for country in COUNTRIES:
        fake = Faker(country.locale)
        fake.seed_instance(f"{seed}-{country.code}")
        pools[country.code] = Names(
            first=tuple(fake.first_name() for _ in range(300)),
            last=tuple(fake.last_name() for _ in range(400)),
            streets=tuple(" ".join(fake.street_address().split()) for _ in range(600)),
            companies=tuple(" ".join(fake.company().split()) for _ in range(200)),
        )
    return pools
