//! Promise: a year of New York departures gets its weather point-in-time in a fraction of a second.
//!
//! 336,776 spine rows of 3 airports and 26,115 hourly rows of 4 features, out of order, with created times and a TTL; the
//! figure is spine rows a second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ml_core::{
    Seed, Table,
    arrow::{
        array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampSecondArray},
        datatypes::DataType,
    },
    id::FeatureName,
};
use ml_features::{Entity, FeatureView, PointInTimeJoin};
use std::{hint::black_box, sync::Arc, time::Duration};

const DEPARTURES: usize = 336_776;
const OBSERVATIONS: usize = 26_115;
const AIRPORTS: [&str; 3] = ["EWR", "JFK", "LGA"];
const FEATURES: [&str; 4] = ["wind_speed", "visibility", "pressure", "precip"];
const HOUR: i64 = 3600;

fn seconds(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampSecondArray::from(values).with_timezone("UTC"))
}

fn weather() -> (FeatureView, RecordBatch) {
    let airport = Entity::new("airport".parse().expect("a name"), [("origin", DataType::Utf8)]).expect("valid");
    let features = FEATURES.map(|name| (name, DataType::Float64));
    let view = FeatureView::new("weather".parse().expect("a name"), airport, "hour", features)
        .and_then(|view| view.with_created_time("published"))
        .expect("valid")
        .with_ttl(Duration::from_secs(6 * 3600));

    let mut order: Vec<usize> = (0..OBSERVATIONS).collect();
    Seed::new(2013).stream("arrival").shuffle(&mut order);
    let hours: Vec<i64> = order.iter().map(|&i| i64::try_from(i / 3).expect("small") * HOUR).collect();
    let published = hours.iter().map(|hour| hour + 600).collect();
    let values = || Arc::new(Float64Array::from_iter_values(order.iter().map(|&i| i as f64))) as ArrayRef;
    let columns = [
        ("origin", Arc::new(StringArray::from_iter_values(order.iter().map(|&i| AIRPORTS[i % 3]))) as ArrayRef),
        ("hour", seconds(hours)),
        ("published", seconds(published)),
    ];
    let rows = RecordBatch::try_from_iter(columns.into_iter().chain(FEATURES.map(|name| (name, values()))));
    (view, rows.expect("columns of one length"))
}

fn departures() -> Table {
    let mut random = Seed::new(2013).stream("departures");
    let airports = StringArray::from_iter_values((0..DEPARTURES).map(|_| AIRPORTS[random.below(3)]));
    let year = OBSERVATIONS / 3 * 3600;
    let times = (0..DEPARTURES).map(|_| i64::try_from(random.below(year)).expect("a year of seconds")).collect();
    let columns = [("origin", Arc::new(airports) as ArrayRef), ("departure", seconds(times))];
    Table::from(RecordBatch::try_from_iter(columns).expect("columns of one length"))
}

fn bench(c: &mut Criterion) {
    let ((view, rows), spine) = (weather(), departures());
    let features: Vec<FeatureName> = FEATURES.iter().map(|name| name.parse().expect("a name")).collect();
    let mut group = c.benchmark_group("pit_join");
    group.throughput(Throughput::Elements(DEPARTURES as u64)).sample_size(20);
    group.bench_function("departures_with_weather", |b| {
        b.iter(|| {
            let mut join = PointInTimeJoin::new(&view, &features, &spine, "departure").expect("a spine of airports");
            join.push(black_box(&rows)).expect("rows of the view");
            join.finish().expect("small values")
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
