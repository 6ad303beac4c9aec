//! The contract of [`Trainer`], on a small table with a missing number, a missing text and a label of 0 and 1, which
//! regression and binary classification can both learn.

use super::model::assert_close;
use crate::{
    CancelToken, Dataset, ErrorKind, InferenceRuntime as _, Model, Seed, Table, Tensor, Tensors, Trainer,
    dataset::{BatchSource, Batches, Role},
    runtime::{LoadOptions, native::NativeRuntime},
    tensor::TensorData,
    trainer::{FitContext, TrainedModel},
    transform,
};
use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray},
    datatypes::SchemaRef,
};
use bytes::Bytes;
use std::{num::NonZeroUsize, sync::Arc};

/// Clause 1: the same seed, data and threads give the same bytes.
pub async fn fits_repeat(trainer: impl Trainer) {
    let data = data(&sample());
    for threads in [1, 2] {
        let context = || context().with_threads(NonZeroUsize::new(threads).expect("not zero"));
        let [first, second] =
            [(); 2].map(|()| trainer.fit(&data, &context()).expect("learnable").to_onnx().expect("an export").bytes);
        assert!(first == second, "two fits on {threads} threads differ");
    }
}

/// Clause 2: the graph predicts what the model predicts, also for rows with what was missing or unknown at training.
pub async fn export_predicts_the_same(trainer: impl Trainer) {
    let model = fit(&trainer, &data(&sample()));
    let exported = model.to_onnx().expect("an export");
    assert_eq!(&exported.signature, model.signature());
    let loaded = NativeRuntime.load(&exported, &LoadOptions::default()).expect("a graph that the native runtime runs");
    for inputs in [inputs_of(&model, &sample()), unknown(&inputs_of(&model, &sample()[..1]))] {
        assert_close(&model.predict(&inputs).expect("predicts"), &loaded.model.predict(&inputs).expect("predicts"));
    }
}

/// Clause 3: a token that was cancelled before the fit, or is during a pass over the rows, ends it.
pub async fn a_cancelled_fit_stops(trainer: impl Trainer) {
    let cancel = CancelToken::new();
    let midway = data_of(CancelsMidway { table: table(&sample()), cancel: cancel.clone() });
    let error = trainer.fit(&midway, &context().with_cancel(cancel)).expect_err("cancelled midway");
    assert_eq!(error.kind(), ErrorKind::Cancelled);

    let cancel = CancelToken::new();
    cancel.cancel();
    let error = trainer.fit(&data(&sample()), &context().with_cancel(cancel)).expect_err("cancelled before");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// Clause 4: data that cannot be learned from is refused, and the column at fault is named.
pub async fn bad_data_is_named(trainer: impl Trainer) {
    let refused = |data: &Dataset| {
        let error = trainer.fit(data, &context()).expect_err("bad data");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        error.to_string()
    };
    refused(&data(&[]));
    refused(&Dataset::new(table(&sample())).features(["miles"]).expect("a column"));
    for bad in [None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)] {
        let mut rows = sample();
        rows[70].late = bad;
        let message = refused(&data(&rows));
        assert!(message.contains("late"), "{message}");
    }
    for bad in [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)] {
        let mut rows = sample();
        rows[70].weight = bad;
        let message = refused(&weighted(&rows));
        assert!(message.contains("weight"), "{message}");
    }
    let mut rows = sample();
    rows.iter_mut().for_each(|row| row.weight = Some(0.0));
    let message = refused(&weighted(&rows));
    assert!(message.contains("weight"), "{message}");
}

/// Clause 5: a row of weight 2 is the row twice, and a row of weight 0 is no row.
pub async fn weights_count_rows(trainer: impl Trainer) {
    let mut rows = sample();
    for (at, row) in rows.iter_mut().enumerate() {
        row.weight = Some([1.0, 2.0, 0.0][at % 3]);
    }
    // A row that does not count brings neither a category nor an extreme.
    rows[2] = Row { miles: Some(1e9), carrier: Some("ZZ"), ..rows[2] };
    let repeated: Vec<Row> = rows
        .iter()
        .flat_map(|row| {
            std::iter::repeat_n(*row, if row.weight == Some(2.0) { 2 } else { usize::from(row.weight != Some(0.0)) })
        })
        .collect();
    let by_weight = fit(&trainer, &weighted(&rows));
    let by_copy = fit(&trainer, &data(&repeated));
    let inputs = inputs_of(&by_copy, &rows);
    assert_close(&by_copy.predict(&inputs).expect("predicts"), &by_weight.predict(&inputs).expect("predicts"));
}

#[derive(Debug, Clone, Copy)]
struct Row {
    miles: Option<f64>,
    hour: i64,
    carrier: Option<&'static str>,
    late: Option<f64>,
    weight: Option<f64>,
}

/// 240 rows whose label follows loosely from the features.
fn sample() -> Vec<Row> {
    let mut random = Seed::new(20).stream("conformance");
    (0..240_i64)
        .map(|at| {
            let carrier = ["AA", "B6", "UA"][random.below(3)];
            let (miles, hour) = (200.0 + 2000.0 * random.next_f64(), 5 + at % 18);
            let chance = 0.15 + 0.03 * (hour as f64 - 5.0) + if carrier == "B6" { 0.2 } else { 0.0 };
            Row {
                miles: (random.next_f64() < 0.9).then_some(miles),
                hour,
                carrier: (random.next_f64() < 0.95).then_some(carrier),
                late: Some(if random.next_f64() < chance { 1.0 } else { 0.0 }),
                weight: Some(1.0),
            }
        })
        .collect()
}

fn context() -> FitContext {
    FitContext::default().with_seed(Seed::new(7))
}

/// Several batches, so that a fit has to put them together.
fn table(rows: &[Row]) -> Table {
    let batch = |rows: &[Row]| {
        let floats =
            |of: fn(&Row) -> Option<f64>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Float64Array>()) };
        RecordBatch::try_from_iter_with_nullable([
            ("miles", floats(|row| row.miles), true),
            ("hour", Arc::new(rows.iter().map(|row| Some(row.hour)).collect::<Int64Array>()), true),
            ("carrier", Arc::new(rows.iter().map(|row| row.carrier).collect::<StringArray>()), true),
            ("late", floats(|row| row.late), true),
            ("weight", floats(|row| row.weight), true),
        ])
        .expect("columns of one length")
    };
    Table::new(batch(&[]).schema(), rows.chunks(64).map(batch).collect()).expect("one schema")
}

fn data(rows: &[Row]) -> Dataset {
    data_of(table(rows))
}

fn data_of(source: impl BatchSource) -> Dataset {
    Dataset::new(source)
        .features(["miles", "hour", "carrier"])
        .and_then(|data| data.label("late"))
        .expect("columns of the table")
}

fn weighted(rows: &[Row]) -> Dataset {
    data(rows).role("weight", Role::Weight).expect("a column of the table")
}

fn fit<T: Trainer>(trainer: &T, data: &Dataset) -> T::Model {
    trainer.fit(data, &context()).expect("learnable")
}

fn inputs_of(model: &impl Model, rows: &[Row]) -> Tensors {
    transform::inputs(model.signature(), &table(rows).to_batch().expect("one batch")).expect("the columns of training")
}

/// The same rows with every number missing and every text unknown.
fn unknown(inputs: &Tensors) -> Tensors {
    inputs.iter().fold(Tensors::new(), |tensors, (name, tensor)| {
        let data = match tensor.data() {
            TensorData::Fp32(values) => TensorData::Fp32(vec![f32::NAN; values.len()]),
            TensorData::Bytes(values) => TensorData::Bytes(vec![Bytes::from_static(b"unheard of"); values.len()]),
            other => other.clone(),
        };
        tensors.with(name, Tensor::from_data(tensor.shape(), data).expect("same shape")).expect("names differ")
    })
}

/// Cancels while its rows are read for the first time.
#[derive(Debug)]
struct CancelsMidway {
    table: Table,
    cancel: CancelToken,
}

impl BatchSource for CancelsMidway {
    fn schema(&self) -> SchemaRef {
        self.table.schema().clone()
    }

    fn scan(&self) -> crate::Result<Batches<'_>> {
        Ok(Box::new(BatchSource::scan(&self.table)?.enumerate().map(|(at, batch)| {
            if at == 1 {
                self.cancel.cancel();
            }
            batch
        })))
    }
}

/// Runs the suite of [`Trainer`](crate::Trainer) over a trainer.
#[macro_export]
macro_rules! trainer_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        $crate::conformance_tests! {
            $crate::conformance::trainer, $factory, [$($($known),*)?];
            fits_repeat,
            export_predicts_the_same,
            a_cancelled_fit_stops,
            bad_data_is_named,
            weights_count_rows,
        }
    };
}
