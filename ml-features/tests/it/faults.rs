//! Materializing between stores that fail now and then loses no row that was acknowledged.

use async_trait::async_trait;
use futures_util::StreamExt;
use ml_core::{
    BoxStream, Compute, Error, ErrorKind, Result, Seed,
    arrow::{
        array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampSecondArray},
        datatypes::{DataType, Int64Type},
    },
    seed::RandomStream,
    time::EventTime,
};
use ml_features::{
    Entity, EntityKey, FeatureRow, FeatureStore, FeatureView, OfflineStore, OnlineStore, PairedStore,
    offline::{OfflineCapabilities, Scan, memory::MemoryOfflineStore},
    online::{OnlineCapabilities, memory::MemoryOnlineStore},
};
use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

/// A store that fails one call in ten, before or after it was carried out.
#[derive(Debug, Clone)]
struct Flaky<S> {
    inner: S,
    dice: Arc<Mutex<RandomStream>>,
}

impl<S> Flaky<S> {
    fn new(inner: S, seed: u64) -> Self {
        Self { inner, dice: Arc::new(Mutex::new(Seed::new(seed).stream("faults"))) }
    }

    fn roll(&self) -> Result<()> {
        roll(&self.dice)
    }
}

fn roll(dice: &Mutex<RandomStream>) -> Result<()> {
    let is_fault = dice.lock().expect("no panic").below(10) == 0;
    if is_fault { Err(Error::unavailable("a fault")) } else { Ok(()) }
}

#[async_trait]
impl<S: OfflineStore> OfflineStore for Flaky<S> {
    fn capabilities(&self) -> OfflineCapabilities {
        self.inner.capabilities()
    }

    async fn apply(&self, view: &FeatureView) -> Result<()> {
        self.roll()?;
        self.inner.apply(view).await?;
        self.roll()
    }

    async fn views(&self) -> Result<Vec<FeatureView>> {
        self.roll()?;
        self.inner.views().await
    }

    async fn append(&self, view: &FeatureView, rows: RecordBatch) -> Result<()> {
        self.roll()?;
        self.inner.append(view, rows).await?;
        self.roll()
    }

    async fn scan(&self, view: &FeatureView, scan: Scan) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        self.roll()?;
        let dice = self.dice.clone();
        let rows = self.inner.scan(view, scan).await?;
        Ok(rows.map(move |batch| roll(&dice).and(batch)).boxed())
    }
}

#[async_trait]
impl<S: OnlineStore> OnlineStore for Flaky<S> {
    fn capabilities(&self) -> OnlineCapabilities {
        self.inner.capabilities()
    }

    async fn write(&self, view: &FeatureView, rows: &RecordBatch) -> Result<u64> {
        self.roll()?;
        let written = self.inner.write(view, rows).await?;
        self.roll()?;
        Ok(written)
    }

    async fn read(&self, view: &FeatureView, keys: &[EntityKey], now: EventTime) -> Result<Vec<Option<FeatureRow>>> {
        self.roll()?;
        self.inner.read(view, keys, now).await
    }

    async fn delete(&self, view: &FeatureView, keys: &[EntityKey]) -> Result<u64> {
        self.roll()?;
        self.inner.delete(view, keys).await
    }
}

/// Calls until it is carried out; only a fault may be retried.
async fn insist<T>(mut call: impl AsyncFnMut() -> Result<T>) -> T {
    loop {
        match call().await {
            Ok(done) => return done,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
}

#[tokio::test]
async fn no_acknowledged_row_is_lost() {
    let entity = Entity::new("sensor".parse().expect("a name"), [("id", DataType::Int64)]).expect("valid");
    let view = FeatureView::new("climate".parse().expect("a name"), entity, "at", [("celsius", DataType::Int64)]);
    let view = view.expect("valid");
    let compute = Compute::new(NonZeroUsize::MIN).expect("a thread");
    for seed in 0..10 {
        let offline = Flaky::new(MemoryOfflineStore::new(), seed);
        let online = Flaky::new(MemoryOnlineStore::new(), seed + 100);
        let store = PairedStore::new(offline, online, compute.clone());
        insist(async || store.apply(std::slice::from_ref(&view)).await).await;

        // Keys and times are random, so many rows are late; times are distinct, so that the latest is one.
        let mut random = Seed::new(seed).stream("rows");
        let mut times: Vec<i64> = (0..400).collect();
        random.shuffle(&mut times);
        let mut latest = BTreeMap::new();
        for chunk in times.chunks(20) {
            let keys: Vec<i64> = chunk.iter().map(|_| i64::try_from(random.below(30)).expect("small")).collect();
            for (&key, &time) in keys.iter().zip(chunk) {
                latest.entry(key).and_modify(|known: &mut i64| *known = (*known).max(time)).or_insert(time);
            }
            let rows = RecordBatch::try_from_iter([
                ("id", Arc::new(Int64Array::from(keys)) as ArrayRef),
                ("at", Arc::new(TimestampSecondArray::from(chunk.to_vec()).with_timezone("UTC"))),
                ("celsius", Arc::new(Int64Array::from(chunk.to_vec()))),
            ])
            .expect("batch");
            insist(async || store.append(view.name(), rows.clone()).await).await;
        }
        for part in [0..150, 150..400] {
            let during = EventTime::from_micros(part.start * 1_000_000)..EventTime::from_micros(part.end * 1_000_000);
            insist(async || store.materialize(&[view.name().clone()], during.clone()).await).await;
        }
        let keys = Arc::new(Int64Array::from_iter_values(latest.keys().copied())) as ArrayRef;
        let keys = RecordBatch::try_from_iter([("id", keys)]).expect("batch");
        let read = insist(async || store.online(&["climate:celsius".parse()?], &keys).await).await;
        let read: Vec<Option<i64>> = read.column(0).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(read, latest.values().map(|time| Some(*time)).collect::<Vec<_>>(), "seed {seed}");
    }
}
