"""Makes point_in_time.json: point-in-time joins as pandas and DuckDB see them.

Two oracles that share no code with each other or with ml-features:
- pandas.merge_asof (backward, by two keys, with tolerance) for a view without created times;
- a DuckDB inequality join with a window, written from the definition, for a view with created times.

Run: python point_in_time.py > point_in_time.json
Made with pandas 2.3.3, duckdb 1.4.2, Python 3.
"""

import json
import sys

import duckdb
import numpy as np
import pandas as pd

TTL_SECONDS = 400
rng = np.random.default_rng(20130101)


def keys(n):
    return {
        "origin": rng.choice(["JFK", "LGA", "EWR", "", "naïve"], n),
        "gate": rng.integers(-1, 2, n),
    }


# Few distinct seconds, so that ties are many.
rows = pd.DataFrame(keys(500) | {"at": rng.integers(0, 1500, 500) // 5 * 5})
rows["known"] = rows["at"] + rng.choice([0, 0, 5, 50, 300, -20], 500)
rows["value"] = np.arange(500)
spine = pd.DataFrame(keys(300) | {"label": rng.integers(-50, 2200, 300)})

left = spine.reset_index().sort_values("label", kind="stable")
# merge_asof takes the last of equal times; a stable sort keeps them in order of arrival.
right = rows.sort_values("at", kind="stable")
plain = {}
for name, tolerance in [("forever", None), ("ttl", TTL_SECONDS)]:
    joined = pd.merge_asof(
        left, right, left_on="label", right_on="at", by=["origin", "gate"], tolerance=tolerance
    ).set_index("index")["value"].sort_index()
    plain[name] = [None if pd.isna(v) else int(v) for v in joined]

spine_rows = spine.reset_index()
created = duckdb.sql(
    """
    SELECT s.index, r.value, s.label - r.at AS age
    FROM spine_rows s LEFT JOIN rows r
      ON s.origin = r.origin AND s.gate = r.gate AND r.at <= s.label AND r.known <= s.label
    QUALIFY row_number() OVER (PARTITION BY s.index ORDER BY r.at DESC, r.known DESC, r.value DESC) = 1
    ORDER BY s.index
    """
).df()
ints = lambda column: [None if pd.isna(v) else int(v) for v in column]
bitemporal = {
    "forever": ints(created["value"]),
    "ttl": ints(created["value"].where(created["age"] <= TTL_SECONDS)),
}
json.dump(
    {
        "made_with": {"pandas": pd.__version__, "duckdb": duckdb.__version__},
        "ttl_seconds": TTL_SECONDS,
        "rows": {c: rows[c].tolist() for c in rows},
        "spine": {c: spine[c].tolist() for c in spine},
        "expected": {"plain": plain, "bitemporal": bitemporal},
    },
    sys.stdout,
    separators=(",", ":"),
    ensure_ascii=False,
)
