//! The bundle: everything that later has to be known about a model, frozen at training time.
//!
//! A content-addressed, immutable set of named files and one manifest with the SHA-256 of each. One download is enough
//! to serve, watch, explain and audit a model, also offline.

use crate::{
    Error, InferenceRuntime, Result, Signature, Tensors,
    id::Digest,
    onnx::OnnxModel,
    runtime::{LoadOptions, LoadedModel, Runtimes},
    tensor::{
        TensorData,
        json::{ReadTensor, WriteTensor},
    },
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, io::Write as _, path::Path, sync::Arc};

/// The graph.
pub const MODEL: &str = "model.onnx";
/// Names, element types and shapes of inputs and outputs.
pub const SIGNATURE: &str = "signature.json";
/// A few inputs with the outputs the trainer gave for them, replayed at every load.
pub const GOLDEN: &str = "golden.json";
/// The model card.
pub const CARD: &str = "card.json";
/// Metrics on held-out data: a JSON object of numbers.
pub const METRICS: &str = "metrics.json";
/// The bias report.
pub const BIAS: &str = "audit/bias.json";
/// The frozen reference of the drift detector.
pub const REFERENCE: &str = "reference/drift.json";
/// The trainer's native state.
pub const CHECKPOINT: &str = "checkpoint.json";
/// Data snapshot, code revision, run, parameters, seed.
pub const PROVENANCE: &str = "provenance.json";
/// The list of all other files, beside them on disk.
pub const MANIFEST: &str = "manifest.json";

/// What the manifest is called while it is written. No file of a bundle starts with a dot.
const UNFINISHED_MANIFEST: &str = ".manifest.json";

/// How far apart two outputs may be to count as the same: this times the expected number where that is above 1, and this
/// itself below. NaN is the same as NaN, and an infinity only as itself; what is no float has to be equal.
///
/// Below 1 the bound is absolute, since a small output is often the difference of large ones, or the sigmoid of a large
/// number: there the digits of single precision that are lost before it are many more than 1e-5 of it. A probability of
/// 1e-6 is hence told from 1e-4, and not from 2e-6. All that compares outputs of two engines in this family means this.
pub const GOLDEN_TOLERANCE: f64 = 1e-5;

/// Sizes and hashes of the files of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this form: 1.
    pub format: u32,
    /// The files by path.
    pub files: BTreeMap<String, FileEntry>,
}

/// Size and hash of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// The hash of the bytes.
    pub sha256: Digest,
    /// The number of bytes.
    pub size_bytes: u64,
}

/// A verified set of files.
///
/// ```
/// use ml_core::{Bundle, Signature, Tensors, bundle, onnx::OnnxModel, signature::TensorSpec, tensor::DType};
///
/// let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])])?;
/// let model = OnnxModel { bytes: vec![8, 8].into(), signature };
/// let bundle = Bundle::builder(model).json(bundle::METRICS, &serde_json::json!({"roc_auc": 0.75}))?.build()?;
///
/// let folder = tempfile::tempdir().unwrap();
/// bundle.write(folder.path().join("v1"))?;
/// assert_eq!(Bundle::read(folder.path().join("v1"))?.digest(), bundle.digest());
///
/// std::fs::write(folder.path().join("v1/model.onnx"), [8, 9]).unwrap();
/// assert!(Bundle::read(folder.path().join("v1")).is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    manifest: Bytes,
    files: BTreeMap<String, Bytes>,
}

impl Bundle {
    /// Starts a bundle around a model.
    pub fn builder(model: OnnxModel) -> BundleBuilder {
        BundleBuilder { model, files: BTreeMap::new(), golden: Vec::new() }
    }

    /// Puts together what a store brought back.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when a file is missing, is not in the manifest, or a byte differs.
    pub fn from_parts(manifest: Bytes, files: BTreeMap<String, Bytes>) -> Result<Self> {
        let listed = parse_manifest(&manifest)?.files;
        if let Some(path) = files.keys().find(|path| !listed.contains_key(*path)) {
            return Err(Error::corrupt("a file of the bundle is not in its manifest").with("file", path));
        }
        for (path, entry) in &listed {
            check_path(path).map_err(|error| Error::corrupt(error.message()).with("file", path.escape_debug()))?;
            let bytes =
                files.get(path).ok_or_else(|| Error::corrupt("a file of the bundle is missing").with("file", path))?;
            if bytes.len() as u64 != entry.size_bytes || Digest::of(bytes) != entry.sha256 {
                return Err(Error::corrupt("a file of the bundle is not what was written")
                    .with("file", path)
                    .with("expected", entry.sha256));
            }
        }
        Ok(Self { manifest, files })
    }

    /// Reads and verifies a folder.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no manifest, otherwise as [`Bundle::from_parts`].
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let manifest = read_file(&folder.join(MANIFEST), None)?;
        let files = parse_manifest(&manifest)?
            .files
            .into_iter()
            .map(|(path, entry)| {
                check_path(&path).map_err(|error| Error::corrupt(error.message()).with("file", path.escape_debug()))?;
                let bytes = read_file(&folder.join(&path), Some(entry.size_bytes)).map_err(|error| {
                    Error::corrupt("a file of the bundle cannot be read").with("file", &path).with_source(error)
                })?;
                Ok((path, bytes))
            })
            .collect::<Result<_>>()?;
        Self::from_parts(manifest, files)
    }

    /// Writes a folder. Every file is on the disk before the manifest gets its name, whole, so that a folder with a manifest
    /// is a bundle, also after a crash.
    ///
    /// # Errors
    /// [`Conflict`](crate::ErrorKind::Conflict) when the folder holds a bundle already, [`Unavailable`](crate::ErrorKind::Unavailable) when it cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        if folder.join(MANIFEST).exists() {
            return Err(Error::conflict("the folder holds a bundle already").with("folder", folder.display()));
        }
        let unwritable = |target: &Path, source| {
            Error::unavailable("a file of the bundle cannot be written")
                .with("file", target.display())
                .with_source(source)
        };
        let files = self.files.iter().map(|(path, bytes)| (path.as_str(), bytes));
        for (path, bytes) in files.chain([(UNFINISHED_MANIFEST, &self.manifest)]) {
            let target = folder.join(path);
            write_file(&target, bytes).map_err(|source| unwritable(&target, source))?;
        }
        let target = folder.join(MANIFEST);
        std::fs::rename(folder.join(UNFINISHED_MANIFEST), &target)
            .and_then(|()| sync_folder(folder))
            .map_err(|source| unwritable(&target, source))
    }

    /// The identity of the bundle: the hash of its manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// The bytes of the manifest.
    #[must_use]
    pub fn manifest(&self) -> &Bytes {
        &self.manifest
    }

    /// Paths and bytes of the files, without the manifest.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&str, &Bytes)> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes))
    }

    /// The bytes of one file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&Bytes> {
        self.files.get(path)
    }

    /// Hashes the files into a manifest of their own.
    pub(crate) fn from_files(files: BTreeMap<String, Bytes>) -> Result<Self> {
        let entries = files
            .iter()
            .map(|(path, bytes)| {
                (path.clone(), FileEntry { sha256: Digest::of(bytes), size_bytes: bytes.len() as u64 })
            })
            .collect();
        let manifest = encode(&Manifest { format: 1, files: entries })?;
        Ok(Self { manifest, files })
    }

    /// One file, read as JSON.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when it is not there, [`Corrupt`](crate::ErrorKind::Corrupt) when it is not of this form.
    pub fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let bytes =
            self.file(path).ok_or_else(|| Error::not_found("the bundle has no such file").with("file", path))?;
        serde_json::from_slice(bytes).map_err(|source| {
            Error::corrupt("a file of the bundle has another form").with("file", path).with_source(source)
        })
    }

    /// The model and its signature.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when the signature has another form.
    pub fn model(&self) -> Result<OnnxModel> {
        let bytes = self.file(MODEL).ok_or_else(|| Error::corrupt("the bundle has no model"))?.clone();
        Ok(OnnxModel { bytes, signature: self.json::<Signature>(SIGNATURE)? })
    }

    /// Inputs and the outputs expected for them.
    ///
    /// # Errors
    /// [`Corrupt`](crate::ErrorKind::Corrupt) when they have another form.
    pub fn golden(&self) -> Result<Vec<Golden>> {
        let Some(bytes) = self.file(GOLDEN) else { return Ok(Vec::new()) };
        let read: Vec<ReadGolden<'_>> = serde_json::from_slice(bytes).map_err(|source| {
            Error::corrupt("the golden file has another form").with("file", GOLDEN).with_source(source)
        })?;
        read.into_iter()
            .map(|golden| Ok(Golden { inputs: to_tensors(&golden.inputs)?, outputs: to_tensors(&golden.outputs)? }))
            .collect()
    }

    /// Loads the model with the first runtime that takes it, and replays the golden inputs.
    ///
    /// # Errors
    /// As [`Runtimes`]; [`Corrupt`](crate::ErrorKind::Corrupt) when an output is not what the trainer gave.
    pub fn load(&self, runtimes: &[Arc<dyn InferenceRuntime>], options: &LoadOptions) -> Result<LoadedModel> {
        let loaded = Runtimes::from(runtimes).load(&self.model()?, options)?;
        for golden in self.golden()? {
            let outputs = loaded.model.predict(&golden.inputs)?;
            check_close(&golden.outputs, &outputs).map_err(|error| error.with("runtime", &loaded.report))?;
        }
        Ok(loaded)
    }
}

/// Inputs and the outputs that a model gives for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// What goes in.
    pub inputs: Tensors,
    /// What comes out.
    pub outputs: Tensors,
}

/// Collects the files of a [`Bundle`].
#[must_use]
#[derive(Debug, Clone)]
pub struct BundleBuilder {
    model: OnnxModel,
    files: BTreeMap<String, Bytes>,
    golden: Vec<Golden>,
}

impl BundleBuilder {
    /// Adds a file. The path is relative, with `/` between names of letters, digits, `_`, `-` and `.`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for another path; [`Conflict`](crate::ErrorKind::Conflict) when it is there already.
    pub fn file(mut self, path: &str, bytes: impl Into<Bytes>) -> Result<Self> {
        check_path(path)?;
        if [MODEL, SIGNATURE, GOLDEN, MANIFEST].contains(&path)
            || self.files.insert(path.into(), bytes.into()).is_some()
        {
            return Err(Error::conflict("the bundle has this file already").with("file", path));
        }
        Ok(self)
    }

    /// Adds a file of JSON.
    ///
    /// # Errors
    /// As [`BundleBuilder::file`]; [`InvalidInput`](crate::ErrorKind::InvalidInput) when the value has no JSON form.
    pub fn json(self, path: &str, value: &impl Serialize) -> Result<Self> {
        self.file(path, encode(value).map_err(|error| error.with("file", path))?)
    }

    /// Adds inputs to be replayed at every load, with the outputs expected for them.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when they do not fit the signature.
    pub fn golden(mut self, inputs: Tensors, outputs: Tensors) -> Result<Self> {
        self.model.signature.check_inputs(&inputs)?;
        self.model.signature.check_outputs(&outputs)?;
        self.golden.push(Golden { inputs, outputs });
        Ok(self)
    }

    /// Hashes the files and closes the bundle.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when a golden text is not UTF-8.
    pub fn build(self) -> Result<Bundle> {
        let Self { model, mut files, golden } = self;
        files.insert(SIGNATURE.into(), encode(&model.signature)?);
        files.insert(MODEL.into(), model.bytes);
        if !golden.is_empty() {
            let written: Vec<_> = golden
                .iter()
                .map(|golden| WriteGolden { inputs: to_json(&golden.inputs), outputs: to_json(&golden.outputs) })
                .collect();
            files.insert(GOLDEN.into(), encode(&written)?);
        }
        Bundle::from_files(files)
    }
}

#[derive(Serialize)]
struct WriteGolden<'a> {
    inputs: Vec<WriteTensor<'a>>,
    outputs: Vec<WriteTensor<'a>>,
}

#[derive(Deserialize)]
struct ReadGolden<'a> {
    #[serde(borrow)]
    inputs: Vec<ReadTensor<'a>>,
    #[serde(borrow)]
    outputs: Vec<ReadTensor<'a>>,
}

fn to_json(tensors: &Tensors) -> Vec<WriteTensor<'_>> {
    tensors.iter().map(|(name, tensor)| WriteTensor { name, tensor }).collect()
}

fn to_tensors(read: &[ReadTensor<'_>]) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    for tensor in read {
        tensors.insert(
            &tensor.name,
            tensor.to_tensor().map_err(|error| Error::corrupt("a golden tensor cannot be read").with_source(error))?,
        )?;
    }
    Ok(tensors)
}

fn check_close(expected: &Tensors, got: &Tensors) -> Result<()> {
    let differs = |name: &str| Error::corrupt("the loaded model does not give the golden outputs").with("output", name);
    for (name, expected) in expected.iter() {
        let got = got.get(name).ok_or_else(|| differs(name))?;
        if expected.shape() != got.shape() {
            return Err(differs(name)
                .with("expected", format!("{:?}", expected.shape()))
                .with("got", format!("{:?}", got.shape())));
        }
        if expected.dtype() != got.dtype() {
            return Err(differs(name).with("expected", expected.dtype()).with("got", got.dtype()));
        }
        match (floats(expected.data()), floats(got.data())) {
            (Some(expected), Some(got)) => {
                if let Some((a, b)) = expected.iter().zip(&got).find(|(a, b)| !is_close(**a, **b)) {
                    return Err(differs(name).with("expected", a).with("got", b));
                }
            }
            _ if expected == got => {}
            _ => return Err(differs(name)),
        }
    }
    Ok(())
}

/// Whether an output is the expected one, up to [`GOLDEN_TOLERANCE`].
pub(crate) fn is_close(expected: f64, got: f64) -> bool {
    let near = || (expected - got).abs() <= GOLDEN_TOLERANCE * expected.abs().max(1.0);
    // An infinity would make the bound infinite, and everything near.
    expected == got || (expected.is_nan() && got.is_nan()) || (expected.is_finite() && near())
}

/// The numbers of a float tensor.
pub(crate) fn floats(data: &TensorData) -> Option<Vec<f64>> {
    match data {
        TensorData::Fp16(values) => Some(values.iter().map(|value| value.to_f64()).collect()),
        TensorData::Bf16(values) => Some(values.iter().map(|value| value.to_f64()).collect()),
        TensorData::Fp32(values) => Some(values.iter().map(|&value| f64::from(value)).collect()),
        TensorData::Fp64(values) => Some(values.clone()),
        _ => None,
    }
}

fn encode(value: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec_pretty(value)
        .map(Bytes::from)
        .map_err(|source| Error::invalid_input("the value has no JSON form").with_source(source))
}

fn parse_manifest(bytes: &[u8]) -> Result<Manifest> {
    let manifest: Manifest = serde_json::from_slice(bytes)
        .map_err(|source| Error::corrupt("the manifest has another form").with_source(source))?;
    if manifest.format != 1 {
        return Err(Error::unsupported("the bundle is of a later form").with("format", manifest.format));
    }
    Ok(manifest)
}

/// Names that are safe on every file system and in every URL, so that no manifest can point outside the bundle.
fn check_path(path: &str) -> Result<()> {
    let safe = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    if path.len() <= 256 && path.split('/').all(safe) {
        Ok(())
    } else {
        Err(Error::invalid_input("not a path within a bundle").with("file", path.escape_debug()))
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_folder(folder)
}

/// Names of files are on the disk only once their folder is. Elsewhere than on Unix a folder is no file to be opened.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { std::fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

fn read_file(path: &Path, expected_bytes: Option<u64>) -> Result<Bytes> {
    let failed = |source: std::io::Error| {
        let error = if source.kind() == std::io::ErrorKind::NotFound {
            Error::not_found("no such file")
        } else {
            Error::unavailable("a file cannot be read")
        };
        error.with("file", path.display()).with_source(source)
    };
    let meta = std::fs::symlink_metadata(path).map_err(failed)?;
    if !meta.is_file() {
        return Err(Error::corrupt("not a regular file").with("file", path.display()));
    }
    if let Some(expected) = expected_bytes.filter(|&expected| expected != meta.len()) {
        return Err(Error::corrupt("a file has another size")
            .with("file", path.display())
            .with("expected", expected)
            .with("got", meta.len()));
    }
    std::fs::read(path).map(Bytes::from).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;
    use half::f16;

    #[test]
    fn outputs_are_close_relative_above_one_and_absolute_below() {
        let same = [(1000.0, 1000.009), (1e-6, 9e-6), (f64::NAN, f64::NAN), (f64::INFINITY, f64::INFINITY)];
        let differ = [
            (1000.0, 1000.02),
            (1e-6, 2e-5),
            (f64::NAN, 0.0),
            (0.0, f64::NAN),
            (f64::INFINITY, 5.0),
            (5.0, f64::INFINITY),
            (f64::INFINITY, f64::NEG_INFINITY),
        ];
        assert!(same.iter().all(|(a, b)| is_close(*a, *b)));
        assert!(differ.iter().all(|(a, b)| !is_close(*a, *b)));
    }

    #[test]
    fn half_precision_is_compared_as_the_other_floats() {
        let halves = |values: [f32; 2]| {
            let values = values.map(f16::from_f32).to_vec();
            Tensors::new().with("y", Tensor::vector(values)).expect("one name")
        };
        check_close(&halves([f32::NAN, 0.5]), &halves([f32::NAN, 0.5])).expect("NaN is the same as NaN");
        assert!(check_close(&halves([1.0, 0.5]), &halves([1.0, 0.25])).is_err());
        let single = Tensors::new().with("y", Tensor::vector(vec![f32::NAN, 0.5])).expect("one name");
        assert!(check_close(&halves([f32::NAN, 0.5]), &single).is_err(), "another element type");
    }
}
