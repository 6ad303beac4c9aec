//! The whole life of machine-learning models, embedded in a Rust service: features, training, registry, serving,
//! monitoring and governance.
//!
//! One folder is enough to start; see [`Platform`]:
//!
//! ```
//! use ml_platform::core::{Dataset, trainer::{self, FitContext, logistic::Logistic}};
//! use ml_platform::features::{FeatureStoreExt, HistoricalRequest};
//! use ml_platform::registry::{AliasMove, NewVersion};
//! use ml_platform::{Platform, Trainer, serve::http};
//! use std::{sync::Arc, time::Duration};
//!
//! # use ml_platform::core::{Table, arrow::{array::*, datatypes::DataType}};
//! # use ml_platform::features::{Entity, FeatureView};
//! # fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch { RecordBatch::try_from_iter(columns).unwrap() }
//! # fn text(values: &[&str]) -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) }
//! # fn times(hours: &[i64]) -> ArrayRef {
//! #     let seconds: Vec<_> = hours.iter().map(|hour| hour * 3600).collect();
//! #     Arc::new(TimestampSecondArray::from(seconds).with_timezone("UTC"))
//! # }
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_platform::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let folder = folder.path();
//! # let numbers = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
//! # let sample = batch(vec![("carrier", text(&["UA"])), ("weather:visib", numbers(&[10.0]))]);
//! # let name = "late".parse()?;
//! # let departures = Table::from(batch(vec![
//! #     ("carrier", text(&["UA", "B6", "UA", "B6"])),
//! #     ("origin", text(&["JFK"; 4])),
//! #     ("event_time", times(&[2, 4, 6, 8])),
//! #     ("late", Arc::new(BooleanArray::from(vec![true, false, true, false]))),
//! # ]));
//! // A folder: features in Parquet, the registry in SQLite, bundles in files.
//! let platform = Platform::open(folder).await?;
//!
//! # let airport = Entity::new("airport".parse()?, [("origin", DataType::Utf8)])?;
//! # let view = FeatureView::new("weather".parse()?, airport, "hour", [("visib", DataType::Float64)])?;
//! # platform.features.apply(&[view]).await?;
//! # let visib = numbers(&[1.0, 9.0, 2.0, 8.0]);
//! # let rows = batch(vec![("origin", text(&["JFK"; 4])), ("hour", times(&[1, 3, 5, 7])), ("visib", visib)]);
//! # platform.features.append(&"weather".parse()?, rows).await?;
//! // Train on what was known at the time, and only that.
//! let request = HistoricalRequest::new(departures, "event_time")
//!     .with_feature("weather:visib".parse()?);
//! let table = platform.features.historical_table(request).await?;
//! let data = Dataset::new(table).features(["carrier", "weather:visib"])?.label("late")?;
//! let model = Logistic::new(Default::default())?.fit(&data, &FitContext::default())?;
//!
//! // Publish and name. A crash leaves a version whole or absent.
//! let bundle = trainer::bundle(&model, &sample)?.build()?;
//! let new = NewVersion::new(bundle.digest(), "ada");
//! let version = platform.publish(&name, &bundle, new).await?;
//! let to = AliasMove::set("champion".parse()?, version, "ada");
//! platform.registry.set_alias(&name, to).await?;
//!
//! // Serve; look every 30 seconds where the alias points, and swap that version in.
//! let server = Arc::new(platform.server().serve("late@champion".parse()?).build()?);
//! server.load().await?;
//! # let shutdown = std::future::ready(());
//! tokio::spawn(server.clone().watch(Duration::from_secs(30), shutdown));
//!
//! // The Open Inference Protocol v2, in your own router.
//! let app = axum::Router::new().merge(http::router(server));
//! # let _: axum::Router = app;
//! # Ok(()) }
//! ```
//!
//! `examples/quickstart.rs` goes the whole way, with an audit, a gate and a drift report; `examples/inference.rs` runs a model
//! that you have already, and `examples/optimize.rs` makes one smaller. Each crate of the family is a
//! module here:
//!
//! | module | headline | what it does |
//! |---|---|---|
//! | [`core`] | [`Trainer`], [`Model`], [`InferenceRuntime`] | vocabulary, trainers, ONNX, runtimes, importers, optimization, the bundle, the ports |
//! | [`features`] | [`FeatureStore`] | point-in-time joins offline, the same values online |
//! | [`registry`] | [`Registry`], [`ExperimentTracker`], [`ArtifactStore`] | versions, aliases and their history, runs, artifacts |
//! | [`serve`] | [`Server`] | hot swap, readiness, Open Inference Protocol v2 |
//! | [`monitor`] | [`DriftDetector`] | drift against the reference frozen with the model |
//! | [`govern`] | [`BiasAuditor`] | fairness audits, promotion gates, model cards |
//!
//! The modules know nothing of each other: they meet in the ports of [`core::port`] and in [`Platform`], and a host may
//! put another implementation in the place of any of them.

mod platform;

#[doc(inline)]
pub use ml_core as core;
#[doc(inline)]
pub use ml_features as features;
#[doc(inline)]
pub use ml_govern as govern;
#[doc(inline)]
pub use ml_monitor as monitor;
#[doc(inline)]
pub use ml_registry as registry;
#[doc(inline)]
pub use ml_serve as serve;

pub use core::{Error, ErrorKind, InferenceRuntime, Model, Result, Trainer};
pub use features::FeatureStore;
pub use govern::BiasAuditor;
pub use monitor::DriftDetector;
pub use platform::Platform;
pub use registry::{ArtifactStore, ExperimentTracker, Registry};
pub use serve::Server;
