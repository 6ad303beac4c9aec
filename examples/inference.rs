//! Runs a model on a runtime of choice, says what really runs it, and how long its calls take.
//!
//! ```sh
//! cargo run --release --example inference -- --model model.onnx --batch 64 --repeat 1000
//! cargo run --release --features ort --example inference -- --model model.lgb.txt --runtime ort --provider cpu
//! cargo run --release --example inference -- --model BUNDLE --inputs rows.parquet --out scores.parquet
//! ```
//!
//! The model is an ONNX file, a LightGBM text, an XGBoost JSON or UBJ, or the folder of a bundle. Columns fill the inputs of
//! their names; one input of several columns takes those that the bundle names, or else all columns in order.

use lexopt::{Arg, ValueExt as _};
use ml_platform::core::{
    Bundle, Dataset, Error, InferenceRuntime, Result, Seed, Signature, Tensor, Tensors,
    arrow::{
        array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray},
        datatypes::Schema,
    },
    import::{self, Columns, ImportOptions},
    optimize,
    runtime::{LoadOptions, native::NativeRuntime},
    signature::Dim,
    tensor::{DType, TensorData},
};
use ml_platform::features::ingest;
use parquet::arrow::ArrowWriter;
use std::{
    fs::File,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

const USAGE: &str = "usage: inference --model FILE.onnx|FILE.lgb.txt|FILE.xgb.json|DIR [--runtime native|ort|tract]
    [--provider NAME]... [--threads N] [--batch N] [--repeat N] [--inputs FILE.parquet] [--out FILE.parquet]";

fn main() -> Result<()> {
    let arguments = Arguments::parse().map_err(|error| Error::invalid_input(USAGE).with_source(error))?;
    let runtime = runtime(&arguments.runtime, &arguments.providers)?;
    let bundle = if arguments.model.is_dir() {
        Bundle::read(&arguments.model)?
    } else {
        let options = ImportOptions::default().with_runtimes([Arc::clone(&runtime)]);
        let import = import::file(&arguments.model, &options)?;
        println!("imported: {}", import.report);
        import.bundle.build()?
    };

    let started = Instant::now();
    let mut options = LoadOptions::default();
    options.threads = arguments.threads;
    let loaded = bundle.load(&[runtime], &options)?;
    let replayed: usize = bundle.golden()?.iter().map(|golden| golden.inputs.rows()).sum();
    println!("loaded: {} in {:.1?}, {replayed} golden rows replayed", loaded.report, started.elapsed());

    let signature = loaded.model.signature();
    let inputs = match &arguments.inputs {
        Some(path) => rows(path, &bundle, signature)?,
        None => made_up(signature, arguments.batch)?,
    };
    let batches = batches(signature, &inputs, arguments.batch)?;
    let mut outputs = Vec::new();
    // The first round is for the outputs, and for caches to fill.
    for batch in &batches {
        outputs.push(loaded.model.predict(batch)?);
    }
    let mut times = Vec::with_capacity(arguments.repeat);
    let mut rows = 0;
    for batch in batches.iter().cycle().take(arguments.repeat) {
        let started = Instant::now();
        loaded.model.predict(batch)?;
        times.push(started.elapsed());
        rows += batch.rows();
    }
    print_latency(&mut times, rows);
    match &arguments.out {
        Some(path) => write(path, signature, &outputs),
        None => Ok(()),
    }
}

struct Arguments {
    model: PathBuf,
    runtime: String,
    providers: Vec<String>,
    threads: NonZeroUsize,
    batch: usize,
    repeat: usize,
    inputs: Option<PathBuf>,
    out: Option<PathBuf>,
}

impl Arguments {
    fn parse() -> std::result::Result<Self, lexopt::Error> {
        let mut model = None;
        let mut arguments = Self {
            model: PathBuf::new(),
            runtime: "native".into(),
            providers: Vec::new(),
            threads: NonZeroUsize::MIN,
            batch: 1,
            repeat: 1000,
            inputs: None,
            out: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Arg::Long("model") => model = Some(parser.value()?.into()),
                Arg::Long("runtime") => arguments.runtime = parser.value()?.string()?,
                Arg::Long("provider") => arguments.providers.push(parser.value()?.string()?),
                Arg::Long("threads") => arguments.threads = parser.value()?.parse()?,
                Arg::Long("batch") => arguments.batch = parser.value()?.parse::<NonZeroUsize>()?.get(),
                Arg::Long("repeat") => arguments.repeat = parser.value()?.parse()?,
                Arg::Long("inputs") => arguments.inputs = Some(parser.value()?.into()),
                Arg::Long("out") => arguments.out = Some(parser.value()?.into()),
                other => return Err(other.unexpected()),
            }
        }
        arguments.model = model.ok_or("--model is missing")?;
        Ok(arguments)
    }
}

fn runtime(name: &str, providers: &[String]) -> Result<Arc<dyn InferenceRuntime>> {
    if name != "ort" && !providers.is_empty() {
        return Err(Error::invalid_input("only ort has providers").with("runtime", name));
    }
    match name {
        "native" => Ok(Arc::new(NativeRuntime)),
        #[cfg(feature = "ort")]
        "ort" => {
            use ml_platform::core::runtime::ort::{OrtConfig, OrtRuntime};
            let mut config = OrtConfig::default();
            if !providers.is_empty() {
                config.providers = providers.iter().map(|provider| provider.parse()).collect::<Result<_>>()?;
            }
            Ok(Arc::new(OrtRuntime::new(config)?))
        }
        #[cfg(feature = "tract")]
        "tract" => Ok(Arc::new(ml_platform::core::runtime::tract::TractRuntime)),
        #[cfg(not(feature = "ort"))]
        "ort" => Err(left_out(name)),
        #[cfg(not(feature = "tract"))]
        "tract" => Err(left_out(name)),
        _ => Err(Error::invalid_input("no such runtime").with("runtime", name.escape_debug())),
    }
}

#[cfg(not(all(feature = "ort", feature = "tract")))]
fn left_out(feature: &str) -> Error {
    Error::unsupported("the example was built without this runtime").with("feature", feature)
}

/// All rows of a file, as the inputs of the model.
fn rows(path: &PathBuf, bundle: &Bundle, signature: &Signature) -> Result<Tensors> {
    let mut table = ingest::parquet::read(path, None)?;
    // A bundle that names the columns of its input gets those, in its order.
    if let Ok(columns) = Columns::of(bundle) {
        let names: Vec<_> = columns.columns.iter().map(|column| &column.name).collect();
        table = table.select(&names)?;
    }
    let names: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    let rows = table.rows();
    optimize::inputs(signature, &Dataset::new(table).features(names)?, rows)
}

/// So many rows of random numbers; lengths that are free are 1.
fn made_up(signature: &Signature, rows: usize) -> Result<Tensors> {
    let mut random = Seed::new(1).stream("inputs");
    let mut inputs = Tensors::new();
    for spec in signature.inputs() {
        let length = |(axis, dim): (usize, &Dim)| match dim {
            Dim::Fixed(length) => *length,
            Dim::Named(_) if axis == 0 => rows,
            Dim::Named(_) => 1,
        };
        let shape: Vec<usize> = spec.shape.iter().enumerate().map(length).collect();
        let count = shape.iter().product();
        let mut numbers = (0..count).map(|_| random.next_f64() * 4.0 - 2.0);
        #[expect(clippy::cast_possible_truncation, reason = "any number will do")]
        let data = match spec.dtype {
            DType::Fp32 => TensorData::Fp32(numbers.map(|number| number as f32).collect()),
            DType::Fp64 => TensorData::Fp64(numbers.by_ref().collect()),
            DType::Int32 => TensorData::Int32(vec![1; count]),
            DType::Int64 => TensorData::Int64(vec![1; count]),
            DType::Bytes => TensorData::Bytes(vec!["a".into(); count]),
            other => {
                return Err(Error::unsupported("no rows are made up for an input of this type: give --inputs")
                    .with("tensor", &spec.name)
                    .with("datatype", other));
            }
        };
        inputs.insert(&spec.name, Tensor::from_data(shape, data)?)?;
    }
    Ok(inputs)
}

/// The rows in calls of so many; a model without a free number of rows takes all in one.
fn batches(signature: &Signature, inputs: &Tensors, batch: usize) -> Result<Vec<Tensors>> {
    if !signature.is_batched() {
        return Ok(vec![inputs.clone()]);
    }
    let rows = inputs.rows();
    (0..rows).step_by(batch).map(|start| inputs.slice_rows(start..rows.min(start + batch))).collect()
}

fn print_latency(times: &mut [Duration], rows: usize) {
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else { return };
    let at = |percent: usize| times[(last * percent).div_ceil(100)].as_secs_f64() * 1e6;
    let total: Duration = times.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let rate = rows as f64 / total.as_secs_f64();
    println!("{:>8} {:>12} {:>12} {:>12} {:>12} {:>14}", "calls", "min µs", "p50 µs", "p95 µs", "p99 µs", "rows/s");
    let [min, p50, p95, p99] = [0, 50, 95, 99].map(at);
    println!("{:>8} {min:>12.1} {p50:>12.1} {p95:>12.1} {p99:>12.1} {rate:>14.0}", times.len());
}

/// One column a score: an output of one number a row under its name, one of several under its name and their numbers.
fn write(path: &PathBuf, signature: &Signature, outputs: &[Tensors]) -> Result<()> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for spec in signature.outputs() {
        let tensors = outputs.iter().map(|outputs| outputs.require(&spec.name)).collect::<Result<Vec<&Tensor>>>()?;
        let width = tensors[0].shape().iter().skip(1).product::<usize>();
        for at in 0..width {
            let name = if width == 1 { spec.name.clone() } else { format!("{}_{at}", spec.name) };
            columns.push((name, column(&tensors, width, at)?));
        }
    }
    let failed = |source: String| {
        Error::unavailable("the scores cannot be written").with("file", path.display()).with_source(source)
    };
    let batch = RecordBatch::try_from_iter(columns).map_err(|source| failed(source.to_string()))?;
    let schema: Arc<Schema> = batch.schema();
    let file = File::create(path).map_err(|source| failed(source.to_string()))?;
    let mut writer = ArrowWriter::try_new(file, schema, None).map_err(|source| failed(source.to_string()))?;
    writer.write(&batch).map_err(|source| failed(source.to_string()))?;
    writer.close().map_err(|source| failed(source.to_string()))?;
    println!("wrote {} rows of {} columns to {}", batch.num_rows(), batch.num_columns(), path.display());
    Ok(())
}

/// Every `width`th element of the tensors from `at` on.
fn column(tensors: &[&Tensor], width: usize, at: usize) -> Result<ArrayRef> {
    macro_rules! every {
        ($type:ty) => {{
            let parts = tensors.iter().map(|tensor| tensor.values::<$type>()).collect::<Result<Vec<_>>>()?;
            parts.into_iter().flat_map(move |part| part.iter().skip(at).step_by(width)).cloned()
        }};
    }
    if tensors[0].dtype() == DType::Bytes {
        let parts = tensors.iter().filter_map(|tensor| match tensor.data() {
            TensorData::Bytes(texts) => Some(texts),
            _ => None,
        });
        let texts = parts.flat_map(|texts| texts.iter().skip(at).step_by(width));
        return Ok(Arc::new(StringArray::from_iter_values(texts.map(|text| String::from_utf8_lossy(text)))));
    }
    Ok(match tensors[0].dtype() {
        DType::Fp32 => Arc::new(Float32Array::from_iter_values(every!(f32))),
        DType::Fp64 => Arc::new(Float64Array::from_iter_values(every!(f64))),
        DType::Int64 => Arc::new(Int64Array::from_iter_values(every!(i64))),
        DType::Int32 => Arc::new(Int64Array::from_iter_values(every!(i32).map(i64::from))),
        other => return Err(Error::unsupported("scores of this type are not written").with("datatype", other)),
    })
}
