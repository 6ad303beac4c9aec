//! Makes a model smaller and faster, measures what that costs on data with labels, and writes it when it costs little enough.
//!
//! ```sh
//! cargo run --release --features ort --example optimize -- --model model.onnx --data rows.parquet --label class \
//!     --passes fold-constants,int8-dynamic --max-loss 0.005 --runtime ort --out smaller.onnx
//! cargo run --release --example optimize -- --model forest.onnx --data rows.parquet --label y --passes shrink-trees --out small.onnx
//! ```
//!
//! Columns fill the inputs of their names; one input of several columns takes all but the label, in order. Rows to measure
//! activations on (for `int8-static`) are the first of the data, and all others are for the comparison. Exits with 1 when the
//! gate refuses, and writes nothing then.

use lexopt::{Arg, ValueExt as _};
use ml_platform::core::optimize::{
    AccuracyGate, Calibration, DynamicInt8, DynamicInt8Params, Evaluation, FoldConstants, Fp16, MagnitudePrune,
    MagnitudePruneParams, Measure, Optimizer, Pass, RangeMethod, RemoveDeadNodes, ShrinkTrees, ShrinkTreesParams,
    StaticInt8, StaticInt8Params, StructuredPrune, StructuredPruneParams,
};
use ml_platform::core::{
    Dataset, Error, InferenceRuntime, Result, Table, onnx::OnnxModel, runtime::native::NativeRuntime,
};
use ml_platform::features::ingest::parquet;
use std::{path::PathBuf, process::ExitCode, sync::Arc};

const USAGE: &str = "usage: optimize --model FILE.onnx --data FILE.parquet [--label COLUMN] --passes PASS,... --out FILE.onnx
    [--max-loss N] [--measure NAME] [--runtime native|ort] [--rows N] [--calibration-rows N]
passes: fold-constants, remove-dead, shrink-trees[=BITS], int8-dynamic, int8-dynamic=matrices, int8-static[=min-max|entropy|SHARE],
    fp16, prune[=SHARE], prune-units[=SHARE]
measures: accuracy, roc_auc, rmse, mae, r2, agreement, cosine, max_difference";

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse().map_err(|error| Error::invalid_input(USAGE).with_source(error))?;
    let bytes = std::fs::read(&arguments.model).map_err(|error| unreadable(&arguments.model, error))?;
    let model = OnnxModel::from_bytes(bytes)?;
    let runtime = runtime(&arguments.runtime)?;

    let table = parquet::read(&arguments.data, None)?;
    let calibrates = arguments.passes.iter().any(|pass| pass.starts_with("int8-static"));
    let set_aside = if calibrates { arguments.calibration_rows.min(table.rows() / 2) } else { 0 };
    let batch = table.to_batch()?;
    let data = |from: usize, rows: usize| dataset(Table::from(batch.slice(from, rows)), arguments.label.as_deref());
    let calibration = data(0, set_aside)?;
    let rows = data(set_aside, (table.rows() - set_aside).min(arguments.rows))?;

    let mut optimizer = Optimizer::new();
    for pass in &arguments.passes {
        let calibration =
            || Calibration::from_dataset(Arc::clone(&runtime), &model.signature, &calibration, set_aside, 64);
        optimizer = optimizer.with_pass(self::pass(pass, calibration)?);
    }
    let mut evaluation = Evaluation::from_dataset(Arc::clone(&runtime), &model, &rows, arguments.rows)?;
    if let Some(max_loss) = arguments.max_loss {
        evaluation = gate(evaluation, arguments.measure, max_loss)?;
    }
    let optimized = optimizer.with_evaluation(evaluation).run(&model)?;
    println!("{}", optimized.report());
    let Some(smaller) = optimized.into_model() else { return Ok(ExitCode::FAILURE) };
    std::fs::write(&arguments.out, &smaller.bytes).map_err(|error| unreadable(&arguments.out, error))?;
    println!("written: {}", arguments.out.display());
    Ok(ExitCode::SUCCESS)
}

/// All columns but the label are features.
fn dataset(table: Table, label: Option<&str>) -> Result<Dataset> {
    let columns: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    let data = Dataset::new(table).features(columns.iter().filter(|column| Some(column.as_str()) != label))?;
    match label {
        Some(label) => data.label(label),
        None => Ok(data),
    }
}

/// A pass by its name, with what it takes behind `=`.
fn pass(text: &str, calibration: impl FnOnce() -> Result<Calibration>) -> Result<Arc<dyn Pass>> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let share = |otherwise: f64| match value {
        Some(value) => value.parse().map_err(|_| no_such_pass(text)),
        None => Ok(otherwise),
    };
    Ok(match (name, value) {
        ("fold-constants", None) => Arc::new(FoldConstants::new(Default::default())),
        ("remove-dead", None) => Arc::new(RemoveDeadNodes),
        ("shrink-trees", bits) => {
            let threshold_bits = bits.map(|bits| bits.parse().map_err(|_| no_such_pass(text))).transpose()?;
            Arc::new(ShrinkTrees::new(ShrinkTreesParams { threshold_bits, ..Default::default() })?)
        }
        ("int8-dynamic", None) => Arc::new(DynamicInt8::new(Default::default())?),
        ("int8-dynamic", Some("matrices")) => {
            Arc::new(DynamicInt8::new(DynamicInt8Params { embeddings: false, ..Default::default() })?)
        }
        ("int8-static", method) => {
            let method = match method {
                None | Some("min-max") => RangeMethod::MinMax,
                Some("entropy") => RangeMethod::Entropy,
                Some(_) => RangeMethod::Percentile(share(1.0)?),
            };
            Arc::new(StaticInt8::new(StaticInt8Params { method, ..Default::default() }, calibration()?)?)
        }
        ("fp16", None) => Arc::new(Fp16::new(Default::default())),
        ("prune", _) => {
            Arc::new(MagnitudePrune::new(MagnitudePruneParams { fraction: share(0.5)?, ..Default::default() })?)
        }
        ("prune-units", _) => Arc::new(StructuredPrune::new(StructuredPruneParams { fraction: share(0.25)? })?),
        _ => return Err(no_such_pass(text)),
    })
}

fn no_such_pass(text: &str) -> Error {
    Error::invalid_input(USAGE).with("pass", text.escape_debug())
}

/// The measure that is asked for, else the first that the labels allow.
fn gate(evaluation: Evaluation, measure: Option<Measure>, max_loss: f64) -> Result<Evaluation> {
    if let Some(measure) = measure {
        return evaluation.with_gate(AccuracyGate::new(measure, max_loss)?);
    }
    for measure in [Measure::Accuracy, Measure::Rmse] {
        if let Ok(gated) = evaluation.clone().with_gate(AccuracyGate::new(measure, max_loss)?) {
            return Ok(gated);
        }
    }
    evaluation.with_gate(AccuracyGate::new(Measure::Cosine, max_loss)?)
}

fn runtime(name: &str) -> Result<Arc<dyn InferenceRuntime>> {
    match name {
        "native" => Ok(Arc::new(NativeRuntime)),
        #[cfg(feature = "ort")]
        "ort" => {
            use ml_platform::core::runtime::ort::{OrtConfig, OrtRuntime};
            Ok(Arc::new(OrtRuntime::new(OrtConfig::default())?))
        }
        other => Err(Error::unsupported("no such runtime in this build").with("runtime", other.escape_debug())),
    }
}

fn unreadable(path: &std::path::Path, error: std::io::Error) -> Error {
    Error::invalid_input("the file cannot be read or written").with("file", path.display()).with_source(error)
}

struct Arguments {
    model: PathBuf,
    data: PathBuf,
    label: Option<String>,
    passes: Vec<String>,
    max_loss: Option<f64>,
    measure: Option<Measure>,
    runtime: String,
    rows: usize,
    calibration_rows: usize,
    out: PathBuf,
}

impl Arguments {
    fn parse() -> Result<Self, lexopt::Error> {
        let (mut model, mut data, mut label, mut out) = (None, None, None, None);
        let (mut passes, mut max_loss, mut measure) = (Vec::new(), None, None);
        let (mut runtime, mut rows, mut calibration_rows) = ("native".to_owned(), usize::MAX, 256);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("model") => model = Some(parser.value()?.into()),
                Arg::Long("data") => data = Some(parser.value()?.into()),
                Arg::Long("label") => label = Some(parser.value()?.string()?),
                Arg::Long("passes") => passes = parser.value()?.string()?.split(',').map(str::to_owned).collect(),
                Arg::Long("max-loss") => max_loss = Some(parser.value()?.parse()?),
                Arg::Long("measure") => measure = Some(parser.value()?.parse()?),
                Arg::Long("runtime") => runtime = parser.value()?.string()?,
                Arg::Long("rows") => rows = parser.value()?.parse()?,
                Arg::Long("calibration-rows") => calibration_rows = parser.value()?.parse()?,
                Arg::Long("out") => out = Some(parser.value()?.into()),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Self {
            model: model.ok_or("--model is missing")?,
            data: data.ok_or("--data is missing")?,
            label,
            passes,
            max_loss,
            measure,
            runtime,
            rows,
            calibration_rows,
            out: out.ok_or("--out is missing")?,
        })
    }
}
