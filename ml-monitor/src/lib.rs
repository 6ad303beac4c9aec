//! Watches models at work: what the data looked like in training is frozen into the bundle, what the model sees and says
//! is recorded beside the request path, and detectors tell which columns have moved.
//!
//! ```
//! use ml_core::{Tensor, Tensors, id::{ModelName, Version}, port::{PredictionSink, RequestMeta}, time::CreatedTime};
//! use ml_monitor::{DriftDetector, KolmogorovSmirnov, KsParams, Reference, ReferenceParams, Sample, WindowParams, WindowSink};
//!
//! // At training time.
//! let training = Sample::new().with_numbers("wind", (0..1000).map(|i| f64::from(i % 20)))?;
//! let reference = Reference::freeze(&training, &ReferenceParams::default())?;
//!
//! // On the request path.
//! let sink = WindowSink::new(WindowParams::default())?;
//! let (model, version) = (ModelName::new("late")?, Version::FIRST);
//! for i in 0..500 {
//!     let meta = RequestMeta::new("r", model.clone(), version, CreatedTime::from_micros(0));
//!     sink.record(&meta, &Tensors::new().with("wind", Tensor::column(vec![15.0 + (i % 20) as f32]))?, &Tensors::new());
//! }
//!
//! // Now and then.
//! let window = sink.take(&model, version).unwrap();
//! let report = KolmogorovSmirnov::new(KsParams::default())?.compare(&reference, &window.sample)?;
//! assert_eq!(report.moved().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["wind"]);
//! # Ok::<(), ml_core::Error>(())
//! ```

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod drift;
pub mod monitor;
pub mod reference;
pub mod sample;
pub mod sink;
pub mod window;

pub use drift::{
    DriftDetector,
    ks::{KolmogorovSmirnov, KsParams},
    panel::Panel,
    psi::{PopulationStability, PsiParams},
    report::DriftReport,
};
pub use monitor::DriftMonitor;
pub use reference::{Reference, ReferenceParams};
pub use sample::Sample;
pub use sink::WindowSink;
pub use window::{Window, WindowParams};
