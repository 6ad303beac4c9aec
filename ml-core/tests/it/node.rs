//! The node tests of ONNX: one small model for every operator, with inputs and the outputs that the specification gives.
//!
//! `cargo xtask test` brings them and sets `ONNX_NODE_TESTS` to their folder. A test declares its element types in the
//! graph and carries its tensors as protobuf beside it.

mod proto;

use ml_core::{
    Error, ErrorKind, InferenceRuntime, Result, Tensor, Tensors,
    onnx::OnnxModel,
    runtime::LoadOptions,
    signature::TensorSpec,
    tensor::{DType, TensorData},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every output of every set is the expected one.
    Pass,
    /// [`OnnxModel::from_bytes`] does not take the model: the family has no such inputs or outputs.
    Unread(String),
    /// The runtime says at load that it does not support the model.
    Refused(String),
    /// It fails in another way, or gives other outputs.
    Failed(String),
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Unread(_) => "unread",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

/// One test: a folder with `model.onnx` and sets of inputs and outputs.
#[derive(Debug, Clone)]
pub(crate) struct NodeCase {
    /// The name, such as `test_ai_onnx_ml_label_encoder_string_int`.
    pub(crate) name: String,
    folder: PathBuf,
}

impl NodeCase {
    /// Every test of the package, by name.
    pub(crate) fn all() -> Vec<Self> {
        let folder = std::env::var_os("ONNX_NODE_TESTS").map(PathBuf::from).unwrap_or_else(|| {
            panic!(
                "run `cargo xtask test`, which brings the node tests of ONNX and sets ONNX_NODE_TESTS to their folder"
            )
        });
        let mut all: Vec<Self> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("ONNX_NODE_TESTS is {}: {error}", folder.display()))
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.join("model.onnx").is_file())
            .map(|folder| Self { name: folder.file_name().expect("a folder").to_string_lossy().into_owned(), folder })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(all.len() > 1_200, "only {} node tests in {}", all.len(), folder.display());
        all
    }

    /// The model.
    pub(crate) fn model(&self) -> Result<OnnxModel> {
        OnnxModel::from_bytes(fs::read(self.folder.join("model.onnx")).expect("the folder has a model"))
    }

    /// Loads the model and compares what it gives with every set of the test.
    pub(crate) fn run(&self, runtime: &dyn InferenceRuntime) -> Verdict {
        let model = match self.model() {
            Ok(model) => model,
            Err(error) if error.kind() == ErrorKind::Unsupported => return Verdict::Unread(error.to_string()),
            Err(error) => return Verdict::Failed(format!("{error:?}")),
        };
        self.run_model(&model, runtime)
    }

    fn run_model(&self, model: &OnnxModel, runtime: &dyn InferenceRuntime) -> Verdict {
        let loaded = match runtime.load(model, &LoadOptions::default()) {
            Ok(loaded) => loaded,
            Err(error) if error.kind() == ErrorKind::Unsupported => return Verdict::Refused(format!("{error:?}")),
            Err(error) => return Verdict::Failed(format!("{error:?}")),
        };
        for (inputs, expected) in self.sets(model) {
            let outputs = match loaded.model.predict(&inputs) {
                Ok(outputs) => outputs,
                Err(error) => return Verdict::Failed(format!("{error:?}")),
            };
            if let Err(error) = compare(&expected, &outputs) {
                return Verdict::Failed(error.to_string());
            }
        }
        Verdict::Pass
    }

    /// As [`NodeCase::run`], for a runtime that resolves shapes at load: where it asks for constants, inputs of the test
    /// become constants of the graph, all but the first or, if that is not enough, all.
    pub(crate) fn run_resolved(&self, runtime: &dyn InferenceRuntime) -> Verdict {
        let mut verdict = self.run(runtime);
        for variable in [1, 0] {
            if !matches!(&verdict, Verdict::Refused(why) if why.contains("only a constant")) {
                break;
            }
            verdict =
                self.with_constants(variable).map_or_else(Verdict::Failed, |model| self.run_model(&model, runtime));
        }
        verdict
    }

    /// The model with only the first so many inputs as inputs.
    fn with_constants(&self, variable: usize) -> Result<OnnxModel, String> {
        let mut bytes = fs::read(self.folder.join("model.onnx")).expect("the folder has a model");
        let model = OnnxModel::from_bytes(bytes.clone()).map_err(|error| error.to_string())?;
        let sets = self.set_folders();
        let [set] = &sets[..] else { return Err("inputs of several sets cannot be constants of one graph".into()) };
        for (at, spec) in model.signature.inputs().iter().enumerate().skip(variable) {
            let tensor = fs::read(set.join(format!("input_{at}.pb"))).expect("an input of the test");
            bytes.extend(proto::initializer(&tensor, &spec.name));
        }
        OnnxModel::from_bytes(bytes).map_err(|error| error.to_string())
    }

    /// Inputs and expected outputs, by the names that the graph gives them.
    pub(crate) fn sets(&self, model: &OnnxModel) -> Vec<(Tensors, Tensors)> {
        let read = |folder: &Path, side: &str, specs: &[TensorSpec]| {
            specs.iter().enumerate().fold(Tensors::new(), |tensors, (at, spec)| {
                let path = folder.join(format!("{side}_{at}.pb"));
                let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let tensor =
                    proto::tensor(&bytes, spec.dtype).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
                tensors.with(spec.name.as_str(), tensor).expect("names of a graph differ")
            })
        };
        let signature = &model.signature;
        self.set_folders()
            .iter()
            .map(|set| (read(set, "input", signature.inputs()), read(set, "output", signature.outputs())))
            .collect()
    }

    fn set_folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = fs::read_dir(&self.folder)
            .expect("the folder of a test")
            .map(|entry| entry.expect("a readable folder").path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        assert!(!folders.is_empty(), "{} has no data", self.name);
        folders
    }
}

/// Runs every test, and says which verdicts are other than those that `expected` names; tests that it does
/// not name have to pass.
pub(crate) fn differences(expected: &BTreeMap<String, &str>, run: impl Fn(&NodeCase) -> Verdict) -> Vec<String> {
    let cases = NodeCase::all();
    let unknown = expected.keys().filter(|name| cases.iter().all(|case| case.name != **name));
    let mut differences: Vec<String> = unknown.map(|name| format!("{name}: no such test")).collect();
    for case in &cases {
        let verdict = run(case);
        let wanted = expected.get(&case.name).copied().unwrap_or("pass");
        if verdict.word() != wanted {
            differences.push(format!("{}: expected {wanted}, got {verdict:?}", case.name));
        }
    }
    differences
}

/// Floats within 1e-3 relative and 1e-5 absolute, as the tests of ONNX are compared; everything else exactly.
fn compare(expected: &Tensors, got: &Tensors) -> Result<()> {
    for (name, expected) in expected.iter() {
        let got = got.require(name)?;
        if (expected.dtype(), expected.shape()) != (got.dtype(), got.shape()) {
            return Err(Error::corrupt("an output has another type or shape")
                .with("tensor", name)
                .with("expected", format!("{} {:?}", expected.dtype(), expected.shape()))
                .with("got", format!("{} {:?}", got.dtype(), got.shape())));
        }
        let wrong = match (floats(expected.data()), floats(got.data())) {
            (Some(expected), Some(got)) => {
                // An infinity is close to itself alone, though it is within any part of itself.
                let near = |a: f64, b: f64| a.is_finite() && b.is_finite() && (a - b).abs() <= 1e-5 + 1e-3 * a.abs();
                let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || near(a, b);
                expected.iter().zip(&got).filter(|(a, b)| !close(**a, **b)).count()
            }
            _ => usize::from(expected != got),
        };
        if wrong > 0 {
            return Err(Error::corrupt("an output has other elements").with("tensor", name).with("wrong", wrong));
        }
    }
    Ok(())
}

/// The numbers of a float tensor.
fn floats(data: &TensorData) -> Option<Vec<f64>> {
    match data {
        TensorData::Fp16(values) => Some(values.iter().map(|value| value.to_f64()).collect()),
        TensorData::Bf16(values) => Some(values.iter().map(|value| value.to_f64()).collect()),
        TensorData::Fp32(values) => Some(values.iter().copied().map(f64::from).collect()),
        TensorData::Fp64(values) => Some(values.clone()),
        _ => None,
    }
}

#[test]
fn the_comparison_sees_a_wrong_element_and_a_wrong_shape() {
    let of = |tensor| Tensors::new().with("y", tensor).expect("one name");
    let right = of(Tensor::vector(vec![1.0_f32, f32::NAN, f32::INFINITY]));
    assert!(compare(&right, &of(Tensor::vector(vec![1.0005_f32, f32::NAN, f32::INFINITY]))).is_ok());
    for wrong in [
        Tensor::vector(vec![1.1_f32, f32::NAN, f32::INFINITY]),
        Tensor::vector(vec![1.0_f32, 0.0, f32::INFINITY]),
        Tensor::vector(vec![1.0_f32, f32::NAN, f32::NEG_INFINITY]),
        Tensor::column(vec![1.0_f32, f32::NAN, f32::INFINITY]),
        Tensor::vector(vec![1.0_f64, f64::NAN, f64::INFINITY]),
    ] {
        assert!(compare(&right, &of(wrong.clone())).is_err(), "{wrong:?}");
    }
    let whole = of(Tensor::vector(vec![1_000_000_i64]));
    assert!(compare(&whole, &of(Tensor::vector(vec![1_000_001_i64]))).is_err());
}

#[test]
fn every_test_that_is_read_has_tensors_of_the_declared_types() {
    let mut read = BTreeMap::<DType, usize>::new();
    for case in NodeCase::all() {
        let Ok(model) = case.model() else { continue };
        for (inputs, outputs) in case.sets(&model) {
            for (specs, tensors) in [(model.signature.inputs(), &inputs), (model.signature.outputs(), &outputs)] {
                for spec in specs {
                    let tensor = tensors.require(&spec.name).expect("read by its name");
                    assert_eq!(tensor.dtype(), spec.dtype, "{} of {}", spec.name, case.name);
                    if let TensorData::Bytes(texts) = tensor.data() {
                        assert!(texts.iter().all(|text| std::str::from_utf8(text).is_ok()), "{}", case.name);
                    }
                    *read.entry(spec.dtype).or_default() += 1;
                }
            }
        }
    }
    assert_eq!(read.len(), DType::ALL.len(), "the tests use every element type: {read:?}");
}
