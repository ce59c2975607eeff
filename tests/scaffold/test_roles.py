"""Which column of a stranger's table gets which role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.scaffold.roles import Candidate, could_be_feature, looked_at, proposed
from ostinato.tables import quote
from scaffold.wanted import FRAUD, RECOMMENDATION

ROWS = 2_000

# Kinds of values, as SQL of a row's number.
KINDS = {
    "number": "i",
    "hash": "md5(i::VARCHAR)",
    "moment": "TIMESTAMP '2026-01-01' + to_minutes(i)",
    "later": "CASE WHEN i % 50 = 0 THEN TIMESTAMP '2026-01-09' + to_minutes(i) END",
    "text time": "strftime(TIMESTAMP '2026-01-01' + to_minutes(i), '%Y-%m-%d %H:%M:%S')",
    "seconds": "1700000000 + 60 * i",
    "milliseconds": "1000 * (1700000000 + 60 * i)",
    "counted": "100 * i",
    "born": "DATE '1970-01-01' + (i % 700)::INT",
    "some": "hash(i * 3) % 200",
    "others": "hash(i * 5) % 300",
    "codes": "'C' || hash(i * 3) % 200",
    "money": "round(exp(hash(i * 7) % 1000 / 200), 2)",
    "noise": "hash(i * 11) % 1000 / 7.0",
    "stars": "(1 + hash(i) % 10) / 2",
    "flag": "(i % 50 = 0)::INT",
    "other flag": "(i % 40 = 0)::INT",
    "truth": "i % 50 = 0",
    "scenario": "CASE WHEN i % 50 = 0 THEN 1 + hash(i) % 3 ELSE 0 END",
    "yes or no": "['no', 'yes'][1 + i % 2]",
    "kind": "['pos', 'web', 'atm'][1 + i % 3]",
}


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("SET TimeZone = 'UTC'")
        yield made


def candidates(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str]) -> list[Candidate]:
    """What is seen of a table of these columns, given as names and kinds of values."""
    listed = ", ".join(f"{KINDS[kind]} AS {quote(name)}" for name, kind in columns.items())
    connection.execute(f"CREATE OR REPLACE TABLE things AS SELECT {listed} FROM range({ROWS}) AS r(i)")
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE things").fetchall()}
    return looked_at(connection, "things", types)


def roles(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str], wanted: Mapping[str, str | None]
) -> dict[str, str]:
    return {role: found.column.name for role, found in proposed(candidates(connection, columns), wanted).items()}


TABLES = {
    "card payments, simulated": (
        FRAUD,
        "column0=number trans_date_trans_time='text time' cc_num=some merchant=codes category=kind amt=money "
        "first=kind last=codes zip=some lat=noise long=noise city_pop=some dob=born trans_num=hash unix_time=seconds "
        "merch_lat=noise is_fraud=flag",
        "id=trans_num time=trans_date_trans_time card=cc_num terminal=merchant amount=amt label=is_fraud",
    ),
    "mobile money": (
        FRAUD,
        "step=some type=kind amount=money nameOrig=codes oldbalanceOrg=noise newbalanceOrig=noise nameDest=codes "
        "oldbalanceDest=noise isFlaggedFraud='other flag' isFraud=flag",
        "card=nameOrig terminal=nameDest amount=amount label=isFraud",
    ),
    "anonymous components": (
        FRAUD,
        "Time=counted V1=noise V2=noise V3=noise Amount=money Class=flag",
        "time=Time amount=Amount label=Class",
    ),
    "a textbook's": (
        FRAUD,
        "TRANSACTION_ID=number TX_DATETIME=moment CUSTOMER_ID=some TERMINAL_ID=others TX_AMOUNT=money "
        "TX_TIME_SECONDS=counted TX_FRAUD=flag TX_FRAUD_SCENARIO=scenario",
        "id=TRANSACTION_ID time=TX_DATETIME card=CUSTOMER_ID terminal=TERMINAL_ID amount=TX_AMOUNT label=TX_FRAUD",
    ),
    "a competition's": (
        FRAUD,
        "TransactionID=number isFraud=flag TransactionDT=counted TransactionAmt=money ProductCD=kind card1=some "
        "card4=kind addr1=others",
        "id=TransactionID time=TransactionDT card=card1 amount=TransactionAmt label=isFraud",
    ),
    "with reports": (
        FRAUD,
        "payment_uuid=hash created_at=moment account=some shop=others total=money fraudulent=truth "
        "chargeback_reported_at=later birth_date=born",
        "id=payment_uuid time=created_at card=account terminal=shop amount=total label=fraudulent "
        "label_time=chargeback_reported_at",
    ),
    "films": (
        RECOMMENDATION,
        "userId=some movieId=others rating=stars timestamp=seconds",
        "user=userId item=movieId weight=rating time=timestamp",
    ),
    "a shop's visits": (
        RECOMMENDATION,
        "timestamp=milliseconds visitorid=some event=kind itemid=others transactionid=number",
        "user=visitorid item=itemid time=timestamp",
    ),
    "reviews": (
        RECOMMENDATION,
        "reviewerID=codes asin=codes reviewText=hash overall=stars unixReviewTime=seconds",
        "user=reviewerID item=asin weight=overall time=unixReviewTime",
    ),
    "words with blanks": (
        RECOMMENDATION,
        "'Order Date=text time' 'Customer ID=codes' 'Product ID=codes' 'Product Name=hash' Quantity=stars",
        "user='Customer ID' item='Product ID' weight=Quantity time='Order Date'",
    ),
}


def parsed(text: str) -> dict[str, str]:
    import shlex

    return dict(pair.split("=", 1) for pair in shlex.split(text))


@pytest.mark.parametrize(("wanted", "columns", "expected"), TABLES.values(), ids=TABLES)
def test_the_tables_people_have_get_the_roles_a_person_would_give(
    connection: duckdb.DuckDBPyConnection, wanted: dict[str, str | None], columns: str, expected: str
) -> None:
    """Names in any style, epochs and texts for times, decoys beside each: the right columns, and none too many."""
    assert roles(connection, parsed(columns), wanted) == parsed(expected)


NAMES = {
    "userId": ("user", "id"),
    "USER_ID": ("user", "id"),
    "userid": ("user", "id"),
    "Customer ID": ("customer", "id"),
    "isFraud": ("is", "fraud"),
    "isfraud": ("is", "fraud"),
    "trans_date_trans_time": ("trans", "date", "trans", "time"),
    "card1": ("card",),
    "paid": ("paid",),
    "größe": ("grösse",),
    "": (),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_apart_into_words(name: str) -> None:
    """Capitals, signs, digits and well-known endings part words; other words stay whole."""
    assert Candidate(name, "BIGINT", rows=1, present=1).words == NAMES[name]


UNSUITABLE = {
    "an amount that is text": ("amount", "kind", FRAUD),
    "a label of three values": ("is_fraud", "kind", FRAUD),
    "an id that is nobody's own": ("tx_id", "some", FRAUD),
    "a time that is a count of few": ("ts", "truth", FRAUD),
    "a birthday": ("birth_date", "born", {"time": "ts"}),
    "a card's kind": ("card_type", "codes", {"card": "card_id"}),
    "a rating that is text": ("rating", "codes", RECOMMENDATION),
}


@pytest.mark.parametrize(("name", "kind", "wanted"), UNSUITABLE.values(), ids=UNSUITABLE)
def test_a_name_alone_gives_no_role(
    connection: duckdb.DuckDBPyConnection, name: str, kind: str, wanted: dict[str, str | None]
) -> None:
    """Where the values are not what the name says, or the name says something else, the role stays free."""
    found = proposed(candidates(connection, {name: kind}), wanted)
    assert not any(called in found for called in ("id", "time", "card", "amount", "label", "weight"))


def test_the_only_column_that_could_be_may_have_any_name(connection: duckdb.DuckDBPyConnection) -> None:
    """One moment, one column of two values, one of values of their own: nothing else could be meant."""
    found = roles(connection, {"wann": "moment", "boese": "flag", "nummer_": "hash"}, FRAUD)
    assert found == {"id": "nummer_", "time": "wann", "label": "boese"}
    twice = roles(connection, {"wann": "moment", "wenn": "moment", "boese": "flag", "gut": "truth"}, FRAUD)
    assert twice == {}
    assert roles(connection, {"ja": "yes or no"}, FRAUD) == {}  # a text is a label only where it is called so


def test_the_usual_name_goes_before_all_others(connection: duckdb.DuckDBPyConnection) -> None:
    """What the template calls its columns is right, in small letters or capitals."""
    assert roles(connection, {"is_fraud": "flag", "HIT": "flag"}, {"label": "hit"}) == {"label": "HIT"}


def test_an_id_with_a_few_duplicates_is_one(connection: duckdb.DuckDBPyConnection) -> None:
    """Broken data has the same columns as good data."""
    connection.execute("CREATE OR REPLACE TABLE doubled AS SELECT greatest(i, 9) AS tx_id FROM range(2000) AS r(i)")
    found = proposed(looked_at(connection, "doubled", {"tx_id": "BIGINT"}), FRAUD)
    assert (found["id"].column.name, found["id"].why) == ("tx_id", "by its name, and nearly each value is there once")


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_epochs_are_told_by_their_size(unit: int) -> None:
    """Seconds and parts of them of these decades are times; small numbers are not."""
    assert Candidate("t", "BIGINT", 9, 9, 9, low=1.5e9 * unit, high=1.6e9 * unit).is_epoch
    assert not Candidate("t", "BIGINT", 9, 9, 9, low=0, high=1.6e9 * unit).is_epoch


def test_features_are_what_a_model_may_learn_from(connection: duckdb.DuckDBPyConnection) -> None:
    """Numbers, true and false, few texts: yes. Ids, times, constants, long lists of texts and who it was: no."""
    table = dict.fromkeys(("shop_id", "email"), "codes") | {
        "age": "some",
        "cc_num": "some",
        "spent": "money",
        "vip": "truth",
        "channel": "kind",
        "code": "codes",
        "running": "number",
        "remark": "hash",
        "seen": "text time",
        "at": "moment",
    }
    found = [column.name for column in candidates(connection, table) if could_be_feature(column)]
    assert found == ["age", "spent", "vip", "channel", "code"]


@settings(max_examples=40)
@given(
    table=st.dictionaries(
        st.sampled_from(
            "id tx_id TransactionID ts time created_at date card user_id customer account terminal shop amount price "
            "value card_terminal user_item_id is_fraud class label reported_at movie item_id rating score x y z".split()
        ),
        st.sampled_from(sorted(KINDS)),
        min_size=1,
        max_size=12,
    ),
    wanted=st.sampled_from([FRAUD, RECOMMENDATION, {"time": "ts"}, {"id": "id", "label": "y", "features": None}]),
)
def test_no_column_has_two_roles(
    connection: duckdb.DuckDBPyConnection, table: dict[str, str], wanted: dict[str, str | None]
) -> None:
    """Whatever the table: roles that were asked for, columns that are there, each once."""
    found = roles(connection, table, wanted)
    assert set(found) <= set(wanted)
    assert len(set(found.values())) == len(found)
    assert set(found.values()) <= set(table)
