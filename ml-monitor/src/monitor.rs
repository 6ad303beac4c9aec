//! The monitor: references, a sink and a detector put together.

use crate::{
    drift::{DriftDetector, report::DriftReport},
    reference::Reference,
    sink::WindowSink,
    window::{Dropped, Window},
};
use ml_core::{
    Bundle, Error, Result, bundle,
    id::{ModelName, Version},
    report::Section,
    time::CreatedTime,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// Tells of each version that serves whether what it sees still looks like what it was trained on.
///
/// ```
/// use ml_core::{
///     Bundle, Signature, Tensor, Tensors, bundle, id::{ModelName, Version}, onnx::OnnxModel, port::{PredictionSink, RequestMeta},
///     signature::TensorSpec, tensor::DType, time::CreatedTime,
/// };
/// use ml_monitor::{DriftMonitor, KolmogorovSmirnov, Reference, ReferenceParams, Sample, WindowParams, WindowSink};
/// use std::sync::Arc;
///
/// let reference = Reference::freeze(&Sample::new().with_numbers("wind", (0..1000).map(f64::from))?, &ReferenceParams::default())?;
/// let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])])?;
/// let bundle = Bundle::builder(OnnxModel { bytes: vec![8, 8].into(), signature }).json(bundle::REFERENCE, &reference)?.build()?;
///
/// let sink = Arc::new(WindowSink::new(WindowParams::default())?);
/// let monitor = DriftMonitor::new(sink.clone(), KolmogorovSmirnov::new(Default::default())?);
/// let (model, version) = (ModelName::new("late")?, Version::FIRST);
/// monitor.watch(&model, version, &bundle)?;
///
/// // The server holds the sink as its port.
/// let meta = RequestMeta::new("1", model.clone(), version, CreatedTime::from_micros(0));
/// sink.record(&meta, &Tensors::new().with("wind", Tensor::vector((900..1000).map(|x| x as f32).collect()))?, &Tensors::new());
///
/// assert!(monitor.report(&model, version)?.drift.has_moved());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug)]
pub struct DriftMonitor {
    sink: Arc<WindowSink>,
    detector: Arc<dyn DriftDetector>,
    references: RwLock<HashMap<(ModelName, Version), Arc<Reference>>>,
}

/// What was found in one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowReport {
    /// The model.
    pub model: ModelName,
    /// Its version.
    pub version: Version,
    /// When the window was opened; `None` when nothing has ever been recorded.
    pub opened: Option<CreatedTime>,
    /// When it was taken; `None` when nothing has ever been recorded.
    pub closed: Option<CreatedTime>,
    /// Rows that came and are not in the report.
    pub dropped: Dropped,
    /// What the detector says.
    pub drift: DriftReport,
}

impl WindowReport {
    /// The report as a section of a page, with what was dropped.
    #[must_use]
    pub fn to_section(&self, heading: impl Into<String>) -> Section {
        let section = self.drift.to_section(heading);
        if self.dropped.total() > 0 { section.text(self.dropped.to_string()) } else { section }
    }
}

impl fmt::Display for WindowReport {
    /// The drift report, and a line about what was dropped, if anything was.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.drift.fmt(f)?;
        if self.dropped.total() > 0 { writeln!(f, "{}", self.dropped) } else { Ok(()) }
    }
}

impl DriftMonitor {
    /// Puts a sink and a detector together, with nothing to watch yet.
    #[must_use]
    pub fn new(sink: Arc<WindowSink>, detector: impl DriftDetector) -> Self {
        Self { sink, detector: Arc::new(detector), references: RwLock::default() }
    }

    /// Takes the reference of a version out of its bundle.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when the bundle has no reference, [`Corrupt`](ml_core::ErrorKind::Corrupt) when it has another form.
    pub fn watch(&self, model: &ModelName, version: Version, bundle: &Bundle) -> Result<()> {
        let reference = bundle
            .json(bundle::REFERENCE)
            .map_err(|error| error.op("monitor.watch").with("model", model).with("version", version))?;
        let mut references = self.references.write().unwrap_or_else(PoisonError::into_inner);
        references.insert((model.clone(), version), Arc::new(reference));
        Ok(())
    }

    /// Forgets a version that no longer serves, and the window it has open.
    pub fn forget(&self, model: &ModelName, version: Version) {
        self.references.write().unwrap_or_else(PoisonError::into_inner).remove(&(model.clone(), version));
        self.sink.close(model, version);
    }

    /// Ends the current window of a version and compares it with the reference. CPU work: async callers go through
    /// [`Compute`](ml_core::Compute).
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when the version is not watched; as [`DriftDetector::compare`].
    pub fn report(&self, model: &ModelName, version: Version) -> Result<WindowReport> {
        let reference = self.reference(model, version)?;
        match self.sink.take(model, version) {
            Some(window) => self.compare(&reference, window),
            None => Ok(WindowReport {
                model: model.clone(),
                version,
                opened: None,
                closed: None,
                dropped: Dropped::default(),
                drift: self.detector.compare(&reference, &reference.without_rows())?,
            }),
        }
    }

    /// As [`DriftMonitor::report`] when the window is due, otherwise `None` and the window goes on.
    ///
    /// # Errors
    /// As [`DriftMonitor::report`].
    pub fn report_due(&self, model: &ModelName, version: Version) -> Result<Option<WindowReport>> {
        let reference = self.reference(model, version)?;
        self.sink.take_due(model, version).map(|window| self.compare(&reference, window)).transpose()
    }

    fn reference(&self, model: &ModelName, version: Version) -> Result<Arc<Reference>> {
        let references = self.references.read().unwrap_or_else(PoisonError::into_inner);
        references.get(&(model.clone(), version)).cloned().ok_or_else(|| {
            Error::not_found("the version is not watched")
                .op("monitor.report")
                .with("model", model)
                .with("version", version)
        })
    }

    fn compare(&self, reference: &Reference, window: Window) -> Result<WindowReport> {
        let Window { model, version, opened, closed, sample, dropped } = window;
        let drift = self.detector.compare(reference, &sample)?;
        Ok(WindowReport { model, version, opened: Some(opened), closed: Some(closed), dropped, drift })
    }
}
