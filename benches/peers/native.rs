//! One side of `inference.py`: loads a model, predicts in a loop and prints what it saw as one line of JSON.
//!
//! Arguments: `RUNTIME MODEL.onnx INPUTS.f32 COLUMNS ROWS SECONDS OUTPUTS.f32`. Inputs are little-endian single precision by
//! row, cut into batches of ROWS; the last output of the first pass over them is written to OUTPUTS for the comparison.
//! Each call is timed by itself and the cost of the clock is left in. Times are in microseconds.

use ml_core::{
    InferenceRuntime, Model, Tensor, Tensors,
    onnx::OnnxModel,
    runtime::{LoadOptions, native::NativeRuntime},
};
use std::{
    error::Error,
    fs,
    hint::black_box,
    time::{Duration, Instant},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runtime, model, inputs, columns, rows, seconds, outputs] = &arguments[..] else {
        return Err("RUNTIME MODEL.onnx INPUTS.f32 COLUMNS ROWS SECONDS OUTPUTS.f32".into());
    };
    let runtime = self::runtime(runtime)?;
    let bytes = fs::read(model)?;
    let model = OnnxModel::from_bytes(bytes)?;
    let batches = batches(&model, &fs::read(inputs)?, columns.parse()?, rows.parse()?)?;

    let (loaded, kept) = heap::kept(|| runtime.load(&model, &LoadOptions::default()));
    let loaded = loaded?;
    let load = median((0..20).map(|_| timed(|| runtime.load(&model, &LoadOptions::default()))).collect());

    let mut scores: Vec<u8> = Vec::new();
    for batch in &batches {
        let given = loaded.model.predict(batch)?;
        let (_, last) = given.iter().last().ok_or("no outputs")?;
        scores.extend(last.values::<f32>()?.iter().flat_map(|score| score.to_le_bytes()));
    }
    fs::write(outputs, scores)?;

    let limit = Duration::from_secs_f64(seconds.parse()?);
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut calls = Vec::new();
    while start.elapsed() < limit {
        calls.extend(batches.iter().map(|batch| timed(|| loaded.model.predict(black_box(batch)))));
    }
    let cpu = (cpu_time() - cpu).as_secs_f64() * 1e6 / calls.len() as f64;
    let p50 = median(calls);
    println!(r#"{{"p50": {p50:.3}, "cpu": {cpu:.3}, "load": {load:.1}, "kept": {kept}}}"#);
    Ok(())
}

fn runtime(name: &str) -> Result<Box<dyn InferenceRuntime>, Box<dyn Error>> {
    match name {
        "native" => Ok(Box::new(NativeRuntime)),
        #[cfg(feature = "ort")]
        "ort" => {
            use ml_core::runtime::ort::{OrtConfig, OrtRuntime};
            Ok(Box::new(OrtRuntime::new(OrtConfig::default())?))
        }
        other => Err(format!("no such runtime: {other}").into()),
    }
}

fn batches(model: &OnnxModel, bytes: &[u8], columns: usize, rows: usize) -> ml_core::Result<Vec<Tensors>> {
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let name = &model.signature.inputs()[0].name;
    let batch = |values: &[f32]| Tensors::new().with(name.as_str(), Tensor::new([rows, columns], values.to_vec())?);
    values.chunks_exact(columns * rows).map(batch).collect()
}

/// With the time that it takes to drop what was made.
fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    drop(black_box(work()));
    start.elapsed().as_secs_f64() * 1e6
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Time that this thread was on a processor, where the system tells.
fn cpu_time() -> Duration {
    let spent = fs::read_to_string("/proc/thread-self/schedstat").ok();
    Duration::from_nanos(spent.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0))
}

/// Counts the memory that is taken and not given back while somebody asks for it.
mod heap {
    use std::{
        alloc::{GlobalAlloc, Layout, System},
        sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed},
    };

    static COUNTS: AtomicBool = AtomicBool::new(false);
    static KEPT: AtomicIsize = AtomicIsize::new(0);

    /// What the work gives, and the bytes that are still taken after it.
    pub(crate) fn kept<T>(work: impl FnOnce() -> T) -> (T, isize) {
        KEPT.store(0, Relaxed);
        COUNTS.store(true, Relaxed);
        let made = work();
        COUNTS.store(false, Relaxed);
        (made, KEPT.load(Relaxed))
    }

    fn count(bytes: usize, taken: bool) {
        if COUNTS.load(Relaxed) {
            let bytes = isize::try_from(bytes).unwrap_or(isize::MAX);
            KEPT.fetch_add(if taken { bytes } else { -bytes }, Relaxed);
        }
    }

    struct Counted;

    #[global_allocator]
    static HEAP: Counted = Counted;

    // SAFETY: all is left to the allocator of the system.
    #[expect(unsafe_code, reason = "an allocator that counts")]
    unsafe impl GlobalAlloc for Counted {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            count(layout.size(), true);
            // SAFETY: as the caller promises.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            count(layout.size(), false);
            // SAFETY: as the caller promises.
            unsafe { System.dealloc(at, layout) }
        }

        unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            count(layout.size(), false);
            count(size, true);
            // SAFETY: as the caller promises.
            unsafe { System.realloc(at, layout, size) }
        }
    }
}
