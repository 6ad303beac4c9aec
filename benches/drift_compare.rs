//! What drift detection costs: comparing a window with the frozen reference, and recording a prediction.
//!
//! `compare` prints values (rows times columns) per second; `record` prints rows per second, one thread, one row a
//! request, 30 inputs and one output.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ml_core::{
    Seed, Tensor, Tensors,
    id::{ModelName, Version},
    port::{PredictionSink, RequestMeta},
    time::CreatedTime,
};
use ml_monitor::{
    DriftDetector, KolmogorovSmirnov, KsParams, Panel, PopulationStability, PsiParams, Reference, ReferenceParams,
    Sample, WindowParams, WindowSink,
};
use std::{hint::black_box, sync::Arc};

const COLUMNS: usize = 30;
const ROWS: usize = 100_000;

/// Columns of continuous numbers, every one a little different.
fn sample(seed: u64) -> Sample {
    let mut random = Seed::new(seed).stream("bench");
    (0..COLUMNS).fold(Sample::new(), |sample, column| {
        let values: Vec<f64> = (0..ROWS).map(|_| -random.next_f64().ln() + 0.01 * column as f64).collect();
        sample.with_numbers(format!("feature {column}"), values).expect("names differ")
    })
}

fn compare(criterion: &mut Criterion) {
    let reference = Reference::freeze(&sample(1), &ReferenceParams::default()).expect("there are rows");
    let current = sample(2);
    let ks = Arc::new(KolmogorovSmirnov::new(KsParams::default()).expect("in range"));
    let psi = Arc::new(PopulationStability::new(PsiParams::default()).expect("in range"));
    let panel = Arc::new(Panel::new(vec![ks.clone(), psi.clone()]).expect("two detectors"));
    let detectors: [(&str, Arc<dyn DriftDetector>); 3] = [("ks", ks), ("psi", psi), ("ks and psi", panel)];

    let mut group = criterion.benchmark_group("drift_compare/30 columns x 100,000 rows");
    group.throughput(Throughput::Elements((COLUMNS * ROWS) as u64)).sample_size(10);
    for (name, detector) in detectors {
        group.bench_function(name, |bencher| {
            bencher.iter(|| detector.compare(&reference, black_box(&current)).expect("columns fit"));
        });
    }
    group.finish();
}

fn record(criterion: &mut Criterion) {
    let inputs = (0..COLUMNS).fold(Tensors::new(), |tensors, column| {
        tensors.with(format!("feature {column}"), Tensor::column(vec![column as f32])).expect("names differ")
    });
    let outputs = Tensors::new().with("late", Tensor::vector(vec![0.5_f32])).expect("one name");
    let model = ModelName::new("late").expect("a name");
    let meta = RequestMeta::new("request", model.clone(), Version::FIRST, CreatedTime::from_micros(0));

    let mut group = criterion.benchmark_group("drift_compare/record");
    let rows = 10_000;
    group.throughput(Throughput::Elements(rows)).sample_size(10);
    group.bench_function("one row of 30 inputs and an output", |bencher| {
        bencher.iter_batched_ref(
            || WindowSink::new(WindowParams::default()).expect("in range"),
            |sink| (0..rows).for_each(|_| sink.record(black_box(&meta), black_box(&inputs), black_box(&outputs))),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, compare, record);
criterion_main!(benches);
