//! Promise: the features of one entity are read in tens of microseconds, keys in and Arrow columns out.
//!
//! One key of 20,000 and 50 doubles a read, from memory through the feature store; the figure is µs a read.

use criterion::{Criterion, criterion_group, criterion_main};
use ml_core::{
    Compute, Seed,
    arrow::{
        array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampSecondArray},
        datatypes::DataType,
    },
    id::FeatureRef,
    time::EventTime,
};
use ml_features::{
    Entity, FeatureStore, FeatureView, PairedStore, offline::memory::MemoryOfflineStore,
    online::memory::MemoryOnlineStore,
};
use std::{hint::black_box, num::NonZeroUsize, sync::Arc};

const ENTITIES: i64 = 20_000;
const FEATURES: usize = 50;

fn keys(ids: impl IntoIterator<Item = i64>) -> RecordBatch {
    let ids = Arc::new(Int64Array::from_iter_values(ids)) as ArrayRef;
    RecordBatch::try_from_iter([("customer_id", ids)]).expect("one column")
}

async fn filled() -> impl FeatureStore {
    let compute = Compute::new(NonZeroUsize::MIN).expect("a thread");
    let store = PairedStore::new(MemoryOfflineStore::new(), MemoryOnlineStore::new(), compute);
    let names: Vec<String> = (0..FEATURES).map(|i| format!("f{i}")).collect();
    let customer = Entity::new("customer".parse().expect("a name"), [("customer_id", DataType::Int64)]).expect("valid");
    let features = names.iter().map(|name| (name, DataType::Float64));
    let view = FeatureView::new("spending".parse().expect("a name"), customer, "at", features).expect("valid");

    let rows = usize::try_from(ENTITIES).expect("small");
    let mut random = Seed::new(7).stream("features");
    let times = Arc::new(TimestampSecondArray::from(vec![0; rows]).with_timezone("UTC")) as ArrayRef;
    let values = names.iter().map(|name| {
        let values = Float64Array::from_iter_values((0..rows).map(|_| random.next_f64()));
        (name.as_str(), Arc::new(values) as ArrayRef)
    });
    let key = keys(0..ENTITIES).column(0).clone();
    let rows = RecordBatch::try_from_iter([("customer_id", key), ("at", times)].into_iter().chain(values));
    store.apply(std::slice::from_ref(&view)).await.expect("a new view");
    store.append(view.name(), rows.expect("columns of one length")).await.expect("rows of the view");
    store.materialize(&[view.name().clone()], EventTime::MIN..EventTime::MAX).await.expect("a known view");
    store
}

fn bench(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let store = runtime.block_on(filled());
    let features: Vec<FeatureRef> =
        (0..FEATURES).map(|i| format!("spending:f{i}").parse().expect("a feature")).collect();
    let mut random = Seed::new(7).stream("reads");
    let mut group = c.benchmark_group("online_read");
    group.bench_function("one_key_50_features", |b| {
        b.iter(|| {
            let key = keys([i64::try_from(random.below(20_000)).expect("small")]);
            let read = runtime.block_on(store.online(black_box(&features), &key)).expect("a known key");
            assert_eq!(read.column(0).null_count(), 0);
            read
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
