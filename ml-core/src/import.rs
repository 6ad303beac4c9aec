//! Models of other libraries as bundles: LightGBM text, XGBoost JSON and Universal Binary JSON, and any ONNX file.
//!
//! A tree ensemble becomes a graph that decides exactly as its library does, for every value in single precision:
//! categorical splits, missing values and zeros taken for missing included. What the graph gives is compared, at the
//! import, with the model evaluated in double precision from its own file; a difference is an error. The bundle keeps rows
//! of that comparison, which are replayed at every load, and the trees with their covers ([`Ensemble`]).
//!
//! The graph takes one `FP32` input of shape `(rows, features)`, [`FEATURES_INPUT`], with the columns in the order of
//! [`Columns`]. Classifiers give `label`, `INT64` of shape `(rows)`, counted from 0, and `probabilities`, `FP32` of shape
//! `(rows, classes)`; all else gives `prediction`, `FP32` of shape `(rows, scores)`.

mod cuts;
mod ensemble;
mod graph;
mod lightgbm;
mod onnx;
mod parity;
mod ubj;
mod xgboost;

pub use ensemble::{Ensemble, Link, Missing, Node, Split, Tree};

use crate::{
    Bundle, Error, InferenceRuntime, Result,
    bundle::{BundleBuilder, CHECKPOINT},
    runtime::native::NativeRuntime,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path, sync::Arc};

/// The file of a bundle that names the columns of its one input: [`Columns`] as JSON.
pub const FEATURES: &str = "features.json";

/// The input of an imported ensemble.
pub const FEATURES_INPUT: &str = "features";

/// How to import a model.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Which rounds of boosting of an XGBoost model are kept; all by default, as `Booster.predict` does.
    pub rounds: Rounds,
    /// Where an ONNX file is run to learn what its outputs really are; the native runtime by default.
    pub runtimes: Vec<Arc<dyn InferenceRuntime>>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { rounds: Rounds::All, runtimes: vec![Arc::new(NativeRuntime)] }
    }
}

impl ImportOptions {
    /// The same with other rounds of boosting.
    #[must_use]
    pub fn with_rounds(mut self, rounds: Rounds) -> Self {
        self.rounds = rounds;
        self
    }

    /// The same with other runtimes, in order of preference.
    #[must_use]
    pub fn with_runtimes(mut self, runtimes: impl IntoIterator<Item = Arc<dyn InferenceRuntime>>) -> Self {
        self.runtimes = runtimes.into_iter().collect();
        self
    }
}

/// Rounds of boosting.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rounds {
    /// Every round of the file.
    #[default]
    All,
    /// Those up to the best one, which early stopping has written into the file: what XGBoost's scikit-learn classes predict with.
    Best,
    /// So many.
    First(usize),
}

/// A bundle that waits for what its owner adds to it, and what happened on the way.
#[must_use]
#[derive(Debug, Clone)]
pub struct Import {
    /// Graph, signature, golden rows, and for ensembles the columns and the trees; a model card and metrics can be added.
    pub bundle: BundleBuilder,
    /// What was read, compared and mended.
    pub report: ImportReport,
}

/// The form of a file.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// LightGBM's text.
    LightGbm,
    /// XGBoost's JSON.
    XgboostJson,
    /// XGBoost's Universal Binary JSON.
    XgboostUbj,
    /// ONNX.
    Onnx,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LightGbm => "LightGBM text",
            Self::XgboostJson => "XGBoost JSON",
            Self::XgboostUbj => "XGBoost UBJ",
            Self::Onnx => "ONNX",
        })
    }
}

/// What an import did.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct ImportReport {
    /// The form of the file.
    pub format: Format,
    /// The version of the form, or of the library that wrote it.
    pub version: String,
    /// Trees in the model; 0 for an ONNX file.
    pub trees: usize,
    /// Rows for which the graph was compared with the model evaluated in double precision; 0 for an ONNX file.
    pub compared_rows: usize,
    /// The greatest difference found, relative where the output is above 1.
    pub greatest_difference: f64,
    /// What was mended, left out or has to be known, a sentence each.
    pub notes: Vec<String>,
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.format, self.version)?;
        if self.format != Format::Onnx {
            let (trees, rows) = (self.trees, self.compared_rows);
            write!(f, ", {trees} trees, {rows} rows compared, greatest difference {:.1e}", self.greatest_difference)?;
        }
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

/// The columns of the one input of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The input.
    pub input: String,
    /// Its columns, in order.
    pub columns: Vec<Feature>,
}

impl Columns {
    /// The columns that a bundle names.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when it names none, [`Corrupt`](crate::ErrorKind::Corrupt) when they are of
    /// another form.
    pub fn of(bundle: &Bundle) -> Result<Self> {
        bundle.json(FEATURES)
    }
}

/// One column of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feature {
    /// The name that the model was trained with.
    pub name: String,
    /// What its numbers are.
    pub kind: Kind,
}

/// What the numbers of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Amounts.
    Number,
    /// Codes of categories.
    Category,
}

/// Imports a LightGBM model, as `Booster.save_model` writes it.
///
/// ```
/// let text = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=regression\n\
///     feature_names=miles\n\nTree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=10\ndecision_type=10\n\
///     left_child=-1\nright_child=-2\nleaf_value=8.5 40\nleaf_count=70 30\ninternal_count=100\nend of trees\n";
/// let import = ml_core::import::lightgbm(text)?;
/// assert_eq!(import.report.trees, 1);
/// let bundle = import.bundle.build()?;
/// assert_eq!(bundle.model()?.signature.inputs()[0].name, "features");
/// # Ok::<(), ml_core::Error>(())
/// ```
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt), naming the line, field, tree or node, for a text that is no whole model;
/// [`Unsupported`](crate::ErrorKind::Unsupported) for objectives without a form here, and linear trees.
pub fn lightgbm(bytes: impl Into<Bytes>) -> Result<Import> {
    let source = lightgbm::parse(&bytes.into()).map_err(|error| error.op("import.lightgbm"))?;
    source.import(Format::LightGbm, "lightgbm").map_err(|error| error.op("import.lightgbm"))
}

/// Imports an XGBoost model of version 1.7 to 3, in JSON or Universal Binary JSON, whichever it is: `gbtree` and `dart`
/// boosters with one value a leaf.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt), naming the place, field, tree or node, for bytes that are no whole model;
/// [`Unsupported`](crate::ErrorKind::Unsupported) for other boosters and for objectives without a form here.
pub fn xgboost(bytes: impl Into<Bytes>, rounds: Rounds) -> Result<Import> {
    let bytes = bytes.into();
    let (format, source) = if is_ubj(&bytes) {
        (Format::XgboostUbj, xgboost::parse_ubj(&bytes, rounds))
    } else {
        (Format::XgboostJson, xgboost::parse_json(&bytes, rounds))
    };
    source.and_then(|source| source.import(format, "xgboost")).map_err(|error| error.op("import.xgboost"))
}

/// Imports an ONNX model. Exporters declare wrong shapes for some outputs, and maps that no one can batch: those are mended,
/// and the report says so.
///
/// # Errors
/// As [`OnnxModel::from_bytes`](crate::onnx::OnnxModel::from_bytes).
pub fn onnx(bytes: impl Into<Bytes>, options: &ImportOptions) -> Result<Import> {
    onnx::import(bytes.into(), options).map_err(|error| error.op("import.onnx"))
}

/// Imports a model of any of these forms, told by its first bytes.
///
/// # Errors
/// As the import of the form; [`Unsupported`](crate::ErrorKind::Unsupported) for what is known not to be one, such as a pickle.
pub fn bytes(bytes: impl Into<Bytes>, options: &ImportOptions) -> Result<Import> {
    let bytes = bytes.into();
    match sniff(&bytes).map_err(|error| error.op("import.bytes"))? {
        Format::LightGbm => lightgbm(bytes),
        Format::XgboostJson | Format::XgboostUbj => xgboost(bytes, options.rounds),
        Format::Onnx => onnx(bytes, options),
    }
}

/// Imports the model in a file, told by its first bytes, whatever its name.
///
/// # Errors
/// As [`bytes()`]; [`NotFound`](crate::ErrorKind::NotFound) and [`Unavailable`](crate::ErrorKind::Unavailable) when the file
/// cannot be read, [`Unsupported`](crate::ErrorKind::Unsupported) when it is larger than 2 GiB.
pub fn file(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Import> {
    let path = path.as_ref();
    let named = |error: Error| error.op("import.file").with("file", path.display());
    let failed = |source: std::io::Error| {
        named(if source.kind() == std::io::ErrorKind::NotFound {
            Error::not_found("no such file").with_source(source)
        } else {
            Error::unavailable("a file cannot be read").with_source(source)
        })
    };
    let size_bytes = std::fs::metadata(path).map_err(failed)?.len();
    if size_bytes > MAX_BYTES {
        return Err(named(Error::unsupported("the model is larger than 2 GiB").with("bytes", size_bytes)));
    }
    bytes(std::fs::read(path).map_err(failed)?, options).map_err(named)
}

const MAX_BYTES: u64 = 1 << 31;

fn sniff(bytes: &[u8]) -> Result<Format> {
    let refused = |what: &str| {
        Err(Error::unsupported(format!("{what} is not supported: save the model in its library's open form")))
    };
    let text = bytes.trim_ascii_start();
    match text {
        [] => Err(Error::corrupt("the model has no bytes")),
        [b't', b'r', b'e', b'e', b'\r' | b'\n', ..] => Ok(Format::LightGbm),
        _ if is_ubj(bytes) => Ok(Format::XgboostUbj),
        [b'{', ..] => Ok(Format::XgboostJson),
        [0x80, 2..=5, ..] => refused("a pickle"),
        [b'P', b'K', 3, 4, ..] => refused("a zip archive"),
        [b'b', b'i', b'n', b'f', ..] => refused("XGBoost's old binary form"),
        [0x89, b'H', b'D', b'F', ..] => refused("an HDF5 file"),
        _ => Ok(Format::Onnx),
    }
}

/// In JSON a brace is followed by a quote, a brace or space; in Universal Binary JSON by the length of a name.
fn is_ubj(bytes: &[u8]) -> bool {
    matches!(bytes, [b'{', b'i' | b'U' | b'I' | b'l' | b'L' | b'#' | b'$', ..])
}

/// What a parser read.
struct Source {
    ensemble: Ensemble,
    columns: Vec<Feature>,
    version: String,
    notes: Vec<String>,
}

impl Source {
    fn import(self, format: Format, backend: &str) -> Result<Import> {
        let Self { ensemble, columns, version, notes } = self;
        ensemble.check()?;
        let model = graph::write(&ensemble, backend)?;
        let parity = parity::check(&ensemble, &model)?;
        let mut notes = notes;
        if parity.rows == 0 {
            notes.push(
                "the native runtime does not run this graph: another replays the golden rows when it loads it".into(),
            );
        }
        let columns = Columns { input: FEATURES_INPUT.into(), columns };
        let mut bundle =
            Bundle::builder(model).json(FEATURES, &columns)?.file(CHECKPOINT, ensemble.checkpoint(backend)?)?;
        if let Some((inputs, outputs)) = parity.golden {
            bundle = bundle.golden(inputs, outputs)?;
        }
        let report = ImportReport {
            format,
            version,
            trees: ensemble.trees.len(),
            compared_rows: parity.rows,
            greatest_difference: parity.difference,
            notes,
        };
        Ok(Import { bundle, report })
    }
}
