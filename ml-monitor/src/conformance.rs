//! The contracts of this crate's traits as tests, for detectors written elsewhere. Not a stable interface.

pub mod drift_detector;
