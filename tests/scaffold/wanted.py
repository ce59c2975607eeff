"""The roles that templates ask for, with the usual names of their columns."""

FRAUD = {
    "id": "tx_id",
    "time": "ts",
    "card": "card_id",
    "terminal": "terminal_id",
    "amount": "amount",
    "label": "is_fraud",
    "label_time": None,
}
RECOMMENDATION = {"user": "user_id", "item": "item_id", "time": "ts", "weight": None}
