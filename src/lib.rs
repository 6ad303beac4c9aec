//! The whole life of machine-learning models, embedded in a Rust service: features, training, registry, serving,
//! monitoring and governance.
//!
//! One folder is enough to start; see [`Platform`]. Each crate of the family is a module here:
//!
//! | module | headline | what it does |
//! |---|---|---|
//! | [`core`] | [`Trainer`], [`Model`], [`InferenceRuntime`] | vocabulary, trainers, ONNX, runtimes, the bundle, the ports |
//! | [`features`] | [`FeatureStore`] | point-in-time joins offline, the same values online |
//! | [`registry`] | [`Registry`], [`ExperimentTracker`], [`ArtifactStore`] | versions, aliases and their history, runs, artifacts |
//! | [`serve`] | [`Server`] | hot swap, readiness, Open Inference Protocol v2 |
//! | [`monitor`] | [`DriftDetector`] | drift against the reference frozen with the model |
//! | [`govern`] | [`BiasAuditor`] | fairness audits, promotion gates, model cards |
//!
//! The modules know nothing of each other: they meet in the ports of [`core::port`] and in [`Platform`], and a host may
//! put another implementation in the place of any of them.

mod platform;

pub use ml_core as core;
pub use ml_features as features;
pub use ml_govern as govern;
pub use ml_monitor as monitor;
pub use ml_registry as registry;
pub use ml_serve as serve;

pub use core::{Error, ErrorKind, InferenceRuntime, Model, Result, Trainer};
pub use features::FeatureStore;
pub use govern::BiasAuditor;
pub use monitor::DriftDetector;
pub use platform::Platform;
pub use registry::{ArtifactStore, ExperimentTracker, Registry};
pub use serve::Server;
