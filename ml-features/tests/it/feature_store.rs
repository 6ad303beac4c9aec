use crate::offline_store::scratch;
use ml_core::{
    Compute, Table,
    arrow::{
        array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampSecondArray},
        datatypes::DataType,
    },
    time::{EventTime, ManualClock},
};
use ml_features::{
    Entity, FeatureStore, FeatureStoreExt, FeatureView, HistoricalRequest, OfflineStore, OnlineStore, PairedStore,
    offline::memory::MemoryOfflineStore, online::memory::MemoryOnlineStore,
};
use std::{num::NonZeroUsize, sync::Arc, time::Duration};

fn compute() -> Compute {
    Compute::new(NonZeroUsize::MIN).expect("a thread")
}

mod memory {
    use super::*;
    ml_features::feature_store_conformance!(async {
        (PairedStore::new(MemoryOfflineStore::new(), MemoryOnlineStore::new(), compute()), ())
    });
}

mod parquet {
    use super::*;
    ml_features::feature_store_conformance!(async {
        let (offline, folder) = scratch().await;
        (PairedStore::new(offline, MemoryOnlineStore::new(), compute()), folder)
    });
}

mod shared {
    use super::*;
    ml_features::feature_store_conformance!(async {
        let (offline, folder) = scratch().await;
        let offline: Arc<dyn OfflineStore> = Arc::new(offline);
        let online: Arc<dyn OnlineStore> = Arc::new(MemoryOnlineStore::new());
        (Arc::new(PairedStore::new(offline, online, compute())) as Arc<dyn FeatureStore>, folder)
    });
}

#[tokio::test]
async fn a_ttl_that_another_process_changed_holds_here() {
    let offline: Arc<dyn OfflineStore> = Arc::new(MemoryOfflineStore::new());
    let clock = Arc::new(ManualClock::new("1970-01-01T00:01:40Z".parse().expect("a time")));
    let here = PairedStore::new(offline.clone(), MemoryOnlineStore::new(), compute()).with_clock(clock);
    let there = PairedStore::new(offline, MemoryOnlineStore::new(), compute());

    let sensor = Entity::new("sensor".parse().expect("a name"), [("id", DataType::Int64)]).expect("valid");
    let view = FeatureView::new("climate".parse().expect("a name"), sensor, "at", [("celsius", DataType::Float64)]);
    let view = view.expect("valid");
    let rows = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![7])) as ArrayRef),
        ("at", Arc::new(TimestampSecondArray::from(vec![10]).with_timezone("UTC"))),
        ("celsius", Arc::new(Float64Array::from(vec![21.5]))),
    ])
    .expect("batch");
    let labels = Arc::new(TimestampSecondArray::from(vec![90]).with_timezone("UTC"));
    let spine = Table::from(rows.clone()).with_column("label", labels).expect("one row");
    let celsius = "climate:celsius".parse().expect("a feature");
    let request = HistoricalRequest::new(spine, "label").with_feature(celsius);
    let nulls = async |store: &PairedStore<Arc<dyn OfflineStore>, MemoryOnlineStore>| {
        let joined = store.historical_table(request.clone()).await.expect("joined");
        joined.column("climate:celsius").expect("a feature").null_count()
    };

    here.apply(std::slice::from_ref(&view)).await.expect("a new view");
    here.append(view.name(), rows).await.expect("rows of the view");
    assert_eq!(nulls(&here).await, 0);
    there.apply(&[view.clone().with_ttl(Duration::from_secs(60))]).await.expect("a shorter TTL");
    assert_eq!(nulls(&here).await, 1);

    let always = EventTime::MIN..EventTime::MAX;
    here.materialize(std::slice::from_ref(view.name()), always).await.expect("materialized");
    let keys = RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from(vec![7])) as ArrayRef)]).expect("batch");
    let read = here.online(&request.features, &keys).await.expect("read");
    assert_eq!(read.column(0).null_count(), 1);
}
