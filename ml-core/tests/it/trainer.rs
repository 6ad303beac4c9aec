#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ml_core::{
    Dataset, Error, ErrorKind, InferenceRuntime, Model, Result, Table, Tensors, Trainer,
    arrow::{
        array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampSecondArray},
        datatypes::SchemaRef,
    },
    collective::Collective,
    conformance::model::Subject,
    dataset::{BatchSource, Batches, Role},
    runtime::native::NativeRuntime,
    trainer::{
        self, DynTrainer, FitContext, Progress, TrainedModel,
        linear::{Ridge, RidgeParams},
        logistic::{Logistic, LogisticParams},
    },
    transform::{self, Impute, OneHot, Preprocess, encode::OneHotParams},
};
use serde::Deserialize;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Barrier, Mutex},
};

pub(crate) fn ridge() -> Ridge {
    Ridge::new(RidgeParams::default()).unwrap()
}

pub(crate) fn logistic() -> Logistic {
    Logistic::new(LogisticParams::default()).unwrap()
}

mod ridge_suite {
    use super::*;
    ml_core::trainer_conformance!(async { (ridge(), ()) });
}

mod logistic_suite {
    use super::*;
    ml_core::trainer_conformance!(async { (logistic(), ()) });
}

mod shared_suite {
    use super::*;
    ml_core::trainer_conformance!(async { (Arc::new(ridge()), ()) });
}

mod erased_suite {
    use super::*;
    ml_core::trainer_conformance!(async { (Arc::new(logistic()) as Arc<dyn DynTrainer>, ()) });
}

mod ridge_model {
    use super::*;
    ml_core::model_conformance!(async { (subject(&ridge(), "arrival"), ()) });
}

mod logistic_model {
    use super::*;
    ml_core::model_conformance!(async { (subject(&logistic(), "late"), ()) });
}

mod erased_model {
    use super::*;
    ml_core::model_conformance!(async { (subject(&(Arc::new(logistic()) as Arc<dyn DynTrainer>), "late"), ()) });
}

fn subject<T: Trainer>(trainer: &T, label: &str) -> Subject<T::Model> {
    let (_, batch) = golden();
    let model = trainer.fit(&flights(&batch, label, true), &FitContext::default()).unwrap();
    let samples = transform::inputs(model.signature(), &batch.slice(0, 24)).unwrap();
    Subject::with_samples(model, samples)
}

#[derive(Deserialize)]
pub(crate) struct Golden {
    l2: f64,
    rows: Rows,
    plain: Case,
    weighted: Case,
}

#[derive(Deserialize)]
struct Rows {
    distance: Vec<Option<f64>>,
    temperature: Vec<Option<f64>>,
    hour: Vec<f64>,
    carrier: Vec<Option<String>>,
    arrival: Vec<f64>,
    late: Vec<f64>,
    weight: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    ridge: Expected,
    logistic: Expected,
}

#[derive(Deserialize)]
struct Expected {
    coefficients: Vec<f64>,
    intercept: f64,
    predictions: Option<Vec<f64>>,
}

pub(crate) fn golden() -> (Golden, RecordBatch) {
    let golden: Golden = serde_json::from_str(include_str!("../golden/linear.json")).unwrap();
    let rows = &golden.rows;
    let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("distance", Arc::new(Float64Array::from(rows.distance.clone())) as ArrayRef, true),
        ("temperature", Arc::new(Float64Array::from(rows.temperature.clone())), true),
        ("hour", floats(&rows.hour), true),
        ("carrier", Arc::new(StringArray::from(rows.carrier.clone())), true),
        ("arrival", floats(&rows.arrival), true),
        ("late", floats(&rows.late), true),
        ("weight", floats(&rows.weight), true),
    ])
    .unwrap();
    (golden, batch)
}

pub(crate) fn flights(batch: &RecordBatch, label: &str, weighted: bool) -> Dataset {
    let data = Dataset::new(Table::from(batch.clone()))
        .features(["distance", "temperature", "hour", "carrier"])
        .and_then(|data| data.label(label))
        .unwrap();
    if weighted { data.role("weight", Role::Weight).unwrap() } else { data }
}

fn assert_coefficients(expected: &Expected, coefficients: &[f64], intercept: f64) {
    assert_eq!(expected.coefficients.len(), coefficients.len());
    let scale = expected.coefficients.iter().fold(expected.intercept.abs(), |max, c| max.max(c.abs()));
    let pairs = expected.coefficients.iter().zip(coefficients).chain([(&expected.intercept, &intercept)]);
    for (expected, got) in pairs {
        assert!((expected - got).abs() <= 1e-6 * scale, "{expected} {got}");
    }
}

#[test]
fn ridge_coefficients_and_predictions_are_those_of_scikit_learn() {
    let (golden, batch) = golden();
    let ridge = Ridge::new(RidgeParams { l2: golden.l2 }).unwrap();
    for (case, weighted) in [(&golden.plain, false), (&golden.weighted, true)] {
        let model = ridge.fit(&flights(&batch, "arrival", weighted), &FitContext::default()).unwrap();
        assert_coefficients(&case.ridge, model.coefficients(), model.intercept());
        if let Some(expected) = &case.ridge.predictions {
            let outputs = model.predict(&transform::inputs(model.signature(), &batch).unwrap()).unwrap();
            let got = outputs.require("prediction").unwrap().values::<f32>().unwrap();
            let far = expected.iter().zip(got).find(|(e, g)| (*e - f64::from(**g)).abs() > 1e-5 * e.abs().max(1.0));
            assert!(far.is_none(), "{far:?}");
        }
    }
}

#[test]
fn logistic_coefficients_and_probabilities_are_those_of_scikit_learn() {
    let (golden, batch) = golden();
    let logistic = Logistic::new(LogisticParams { l2: golden.l2, ..LogisticParams::default() }).unwrap();
    for (case, weighted) in [(&golden.plain, false), (&golden.weighted, true)] {
        let model = logistic.fit(&flights(&batch, "late", weighted), &FitContext::default()).unwrap();
        assert!(model.is_converged() && model.iterations() < 10);
        assert_coefficients(&case.logistic, model.coefficients(), model.intercept());
        if let Some(expected) = &case.logistic.predictions {
            let got = probabilities(&model, &batch);
            let far = expected.iter().zip(&got).find(|(e, g)| (*e - f64::from(**g)).abs() > 1e-5);
            assert!(far.is_none(), "{far:?}");
        }
    }
}

fn probabilities(model: &impl Model, batch: &RecordBatch) -> Vec<f32> {
    let outputs = model.predict(&transform::inputs(model.signature(), batch).unwrap()).unwrap();
    let both = outputs.require("probabilities").unwrap().values::<f32>().unwrap();
    both.chunks(2).map(|pair| pair[1]).collect()
}

#[test]
fn the_number_of_threads_does_not_change_the_model() {
    let (_, batch) = golden();
    let fit = |threads| {
        let context = FitContext::default().with_threads(NonZeroUsize::new(threads).unwrap());
        logistic().fit(&flights(&batch, "late", true), &context).unwrap().to_onnx().unwrap().bytes
    };
    let one = fit(1);
    assert!(one == fit(3) && one == fit(1_000_000));
}

/// Members of a job on threads of this process.
#[derive(Debug)]
struct Threads {
    rank: usize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    barrier: Barrier,
    sums: Mutex<Vec<Vec<f64>>>,
    bytes: Mutex<Vec<u8>>,
}

impl Collective for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn world(&self) -> usize {
        self.shared.sums.lock().unwrap().len()
    }

    fn all_reduce_sum(&self, buffer: &mut [f64]) -> Result<()> {
        self.shared.sums.lock().unwrap()[self.rank] = buffer.to_vec();
        self.shared.barrier.wait();
        for (at, sum) in buffer.iter_mut().enumerate() {
            *sum = self.shared.sums.lock().unwrap().iter().map(|part| part[at]).sum();
        }
        self.shared.barrier.wait();
        Ok(())
    }

    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) -> Result<()> {
        if root == self.rank {
            self.shared.bytes.lock().unwrap().clone_from(bytes);
        }
        self.shared.barrier.wait();
        bytes.clone_from(&self.shared.bytes.lock().unwrap());
        self.shared.barrier.wait();
        Ok(())
    }
}

#[test]
fn members_with_parts_of_the_rows_fit_the_model_of_all_rows() {
    let (_, batch) = golden();
    // The median takes several passes, and the last member has no rows at all.
    let trainer = logistic().with_preprocess(
        Preprocess::default().with_numbers(vec![Arc::new(Impute::median()), Arc::new(transform::Standardize)]),
    );
    let whole = trainer.fit(&flights(&batch, "late", true), &FitContext::default()).unwrap();
    let shared =
        Arc::new(Shared { barrier: Barrier::new(3), sums: Mutex::new(vec![vec![]; 3]), bytes: Mutex::new(vec![]) });
    let members = [batch.slice(0, 90), batch.slice(90, batch.num_rows() - 90), batch.slice(0, 0)];
    let models: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..)
            .zip(&members)
            .map(|(rank, part)| {
                let (trainer, shared) = (&trainer, shared.clone());
                let context = FitContext::default().with_collective(Threads { rank, shared });
                scope.spawn(move || trainer.fit(&flights(part, "late", true), &context).unwrap())
            })
            .collect();
        started.into_iter().map(|member| member.join().unwrap()).collect()
    });
    let bytes = models[0].to_onnx().unwrap().bytes;
    assert!(models.iter().all(|model| model.to_onnx().unwrap().bytes == bytes), "all members have one model");
    assert_eq!(models[0].columns(), whole.columns());
    for (a, b) in models[0].coefficients().iter().zip(whole.coefficients()) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<(String, u64, f64)>>>);

impl Progress for Heard {
    fn metric(&self, name: &str, step: u64, value: f64) {
        self.0.lock().unwrap().push((name.into(), step, value));
    }
}

#[test]
fn progress_hears_a_falling_loss_step_by_step() {
    let (_, batch) = golden();
    let heard = Heard::default();
    let model =
        logistic().fit(&flights(&batch, "late", false), &FitContext::default().with_progress(heard.clone())).unwrap();
    let steps = heard.0.lock().unwrap();
    assert_eq!(steps.len(), model.iterations() as usize + 1);
    assert!(steps.iter().zip(0..).all(|(heard, step)| heard.0 == "log_loss" && heard.1 == step));
    assert!(steps[0].2 > steps[1].2 && (steps[0].2 - std::f64::consts::LN_2).abs() < 1e-12);
}

#[test]
fn ridge_reports_the_error_it_leaves() {
    let (_, batch) = golden();
    let heard = Heard::default();
    let data = flights(&batch, "arrival", false);
    let model = ridge().fit(&data, &FitContext::default().with_progress(heard.clone())).unwrap();
    let outputs = model.predict(&transform::inputs(model.signature(), &batch).unwrap()).unwrap();
    let predicted: Vec<f64> =
        outputs.require("prediction").unwrap().values::<f32>().unwrap().iter().map(|p| f64::from(*p)).collect();
    let labels = data.to_table().unwrap().floats("arrival").unwrap();
    let rmse = ml_core::metric::regression::rmse(labels.values(), &predicted, None).unwrap();
    assert!((heard.0.lock().unwrap()[0].2 - rmse).abs() < 1e-5 * rmse);
}

#[test]
fn a_bundle_replays_known_missing_and_unknown_values() {
    let (_, batch) = golden();
    let model = logistic().fit(&flights(&batch, "late", false), &FitContext::default()).unwrap();
    let bundle = trainer::bundle(&model, &batch).unwrap().build().unwrap();
    let native: [Arc<dyn InferenceRuntime>; 1] = [Arc::new(NativeRuntime)];
    bundle.load(&native, &ml_core::runtime::LoadOptions::default()).unwrap();
    let golden = bundle.golden().unwrap();
    assert_eq!(golden.iter().map(|golden| golden.inputs.rows()).collect::<Vec<_>>(), [8, 1]);
    let missing = &golden[1].inputs;
    assert!(missing.require("distance").unwrap().values::<f32>().unwrap()[0].is_nan());
    let checkpoint: trainer::Checkpoint = bundle.json(ml_core::bundle::CHECKPOINT).unwrap();
    assert_eq!((checkpoint.backend.as_str(), checkpoint.version), ("logistic", 1));
    assert_eq!(checkpoint.state["coefficients"].as_array().unwrap().len(), model.columns().len());
    assert!(trainer::bundle(&model, &batch.slice(0, 0)).is_err());
}

// Bad input, one behavior a test. `fit` trains on columns `x` and `y`, where `y` is the label.

fn columns(x: ArrayRef, y: ArrayRef) -> Dataset {
    let batch = RecordBatch::try_from_iter_with_nullable([("x", x, true), ("y", y, true)]).unwrap();
    Dataset::new(Table::from(batch)).features(["x"]).unwrap().label("y").unwrap()
}

fn numbers(values: impl Into<Vec<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from(values.into()))
}

fn refused<T: Trainer>(trainer: &T, data: &Dataset) -> Error {
    match trainer.fit(data, &FitContext::default()) {
        Ok(model) => panic!("learned {model:?}"),
        Err(error) => error,
    }
}

fn predict(model: &impl TrainedModel, x: ArrayRef) -> Tensors {
    let batch = RecordBatch::try_from_iter_with_nullable([("x", x, true)]).unwrap();
    model.predict(&transform::inputs(model.signature(), &batch).unwrap()).unwrap()
}

#[test]
fn a_single_class_is_refused() {
    let error = refused(&logistic(), &columns(numbers([1.0, 2.0]), numbers([1.0, 1.0])));
    insta::assert_snapshot!(error, @"the label has one class only, so there is nothing to tell apart (column: y, values: [1.0])");
}

#[test]
fn more_than_two_classes_are_refused() {
    let error = refused(&logistic(), &columns(numbers([1.0, 2.0, 3.0]), numbers([0.0, 1.0, 2.0])));
    insta::assert_snapshot!(error, @"the label has more than two classes (column: y, values: [0.0, 1.0, 2.0])");
}

#[test]
fn a_class_that_is_no_whole_number_is_refused() {
    let error = refused(&logistic(), &columns(numbers([1.0, 2.0]), numbers([0.0, 0.5])));
    insta::assert_snapshot!(error, @"the label of a classification is not a whole number (column: y, values: [0.0, 0.5])");
}

#[test]
fn a_label_beyond_single_precision_is_refused() {
    let error = refused(&ridge(), &columns(numbers([1.0, 2.0, 3.0]), numbers([1e300, -1e300, 2e300])));
    assert!(
        error.to_string().contains("beyond the range of FP32") && error.to_string().contains("column: y"),
        "{error}"
    );
}

#[test]
fn one_positive_row_among_many_is_fitted_to_its_share() {
    // Nothing to learn from but the share of the classes: the positive row is like the others.
    let rows = 20_001;
    let x: Vec<f64> = (0..rows).map(|row| f64::from(row % 3 - 1)).collect();
    let y: Vec<f64> = (0..rows).map(|row| f64::from(u8::from(row == 1))).collect();
    let model = logistic().fit(&columns(numbers(x), numbers(y)), &FitContext::default()).unwrap();
    assert!(model.is_converged());
    let outputs = predict(&model, numbers([0.0]));
    let share = outputs.require("probabilities").unwrap().values::<f32>().unwrap()[1];
    assert!((share * rows as f32 - 1.0).abs() < 1e-3, "{share}");
}

#[test]
fn a_label_that_is_text_is_refused() {
    let error = refused(&ridge(), &columns(numbers([1.0]), Arc::new(StringArray::from(vec!["late"]))));
    insta::assert_snapshot!(error, @"a column holds no numbers (type: Utf8, column: y)");
}

#[test]
fn two_whole_numbers_are_classes_and_come_back_as_labels() {
    let labels: ArrayRef = Arc::new(Int64Array::from(vec![-3, 7, -3, 7]));
    let model = logistic().fit(&columns(numbers([0.0, 5.0, 1.0, 6.0]), labels), &FitContext::default()).unwrap();
    assert_eq!(model.classes(), [-3, 7]);
    let outputs = predict(&model, numbers([0.0, 6.0]));
    assert_eq!(outputs.require("label").unwrap().values::<i64>().unwrap(), [-3, 7]);
}

#[test]
fn one_row_is_predicted_as_it_is() {
    let model = ridge().fit(&columns(numbers([3.0]), numbers([42.0])), &FitContext::default()).unwrap();
    assert_eq!(predict(&model, numbers([3.0])).require("prediction").unwrap().values::<f32>().unwrap(), [42.0]);
}

#[test]
fn a_constant_column_gets_no_coefficient() {
    let data = columns(numbers([0.1; 3]), numbers([1.0, 2.0, 6.0]));
    let model = ridge().fit(&data, &FitContext::default()).unwrap();
    assert_eq!(model.coefficients(), [0.0]);
    assert!((model.intercept() - 3.0).abs() < 1e-12);
}

#[test]
fn a_column_without_values_is_refused() {
    let x = Arc::new(Float64Array::from(vec![None, Some(f64::NAN)]));
    let error = refused(&ridge(), &columns(x, numbers([1.0, 2.0])));
    insta::assert_snapshot!(error, @"every value of a column is missing, so nothing can be learned about it (column: x)");
}

#[test]
fn a_text_column_without_values_is_one_category() {
    let x = Arc::new(StringArray::from(vec![None::<&str>, Some("")]));
    let model = ridge().fit(&columns(x, numbers([1.0, 2.0])), &FitContext::default()).unwrap();
    assert_eq!(model.columns(), ["x=", "x (other)"]);
}

#[test]
fn an_infinite_feature_is_refused() {
    let error = refused(&ridge(), &columns(numbers([1.0, f64::NEG_INFINITY]), numbers([1.0, 2.0])));
    insta::assert_snapshot!(error, @"a number is infinite (row: 1, column: x)");
}

#[test]
fn a_missing_feature_that_nothing_fills_is_refused() {
    let bare = ridge().with_preprocess(Preprocess::default().with_numbers(vec![]));
    let error = refused(&bare, &columns(numbers([1.0, f64::NAN]), numbers([1.0, 2.0])));
    insta::assert_snapshot!(error, @"a feature is missing or infinite after preprocessing (column: x)");
}

#[test]
fn a_feature_of_another_type_is_refused() {
    let error = refused(&ridge(), &columns(Arc::new(TimestampSecondArray::from(vec![1])), numbers([1.0])));
    insta::assert_snapshot!(error, @"a feature is neither number nor text (column: x, type: Timestamp(s))");
}

#[test]
fn a_data_set_without_features_is_refused() {
    let batch = RecordBatch::try_from_iter([("y", numbers([1.0]))]).unwrap();
    let error = refused(&ridge(), &Dataset::new(Table::from(batch)).label("y").unwrap());
    insta::assert_snapshot!(error, @"the data set has no features");
}

#[test]
fn a_feature_named_as_an_output_is_refused() {
    let batch = RecordBatch::try_from_iter([("prediction", numbers([1.0])), ("y", numbers([1.0]))]).unwrap();
    let data = Dataset::new(Table::from(batch)).features(["prediction"]).unwrap().label("y").unwrap();
    insta::assert_snapshot!(refused(&ridge(), &data), @"a feature has the name of an output of the model: rename it (column: prediction)");
}

#[test]
fn a_feature_that_follows_from_others_is_named_without_l2() {
    let x: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a"]));
    let data = columns(x, numbers([1.0, 2.0, 1.5]));
    let error = refused(&Ridge::new(RidgeParams { l2: 0.0 }).unwrap(), &data);
    insta::assert_snapshot!(error, @"a feature follows from the others: leave it out or raise l2 (feature: x=b, l2: 0)");
    assert!(ridge().fit(&data, &FitContext::default()).is_ok(), "a penalty makes the answer unique");
}

#[test]
fn classes_that_features_separate_stay_finite_through_the_penalty() {
    let data = columns(numbers([-1e6, -1.0, 1.0, 1e6]), numbers([0.0, 0.0, 1.0, 1.0]));
    for l2 in [1.0, 1e-6] {
        let params = LogisticParams { l2, ..LogisticParams::default() };
        let model = Logistic::new(params).unwrap().fit(&data, &FitContext::default()).unwrap();
        assert!(model.is_converged(), "l2 {l2}");
        assert!(model.coefficients().iter().all(|c| c.is_finite() && *c > 0.0), "{model:?}");
    }
}

#[test]
fn ten_thousand_categories_become_as_many_columns_as_allowed() {
    let words: Vec<String> = (0..10_000).map(|i| format!("tail-{i}")).collect();
    let labels: Vec<f64> = (0..10_000).map(|i| f64::from(i % 2)).collect();
    let one_hot = OneHot::new(OneHotParams { max_categories: 16 }).unwrap();
    let trainer = logistic().with_preprocess(Preprocess::default().with_text(vec![Arc::new(one_hot)]));
    let model =
        trainer.fit(&columns(Arc::new(StringArray::from(words)), numbers(labels)), &FitContext::default()).unwrap();
    assert_eq!(model.columns().len(), 17);
}

#[test]
fn more_columns_than_sums_can_be_kept_for_are_refused() {
    let words: Vec<String> = (0..6_000).map(|i| i.to_string()).collect();
    let one_hot = OneHot::new(OneHotParams { max_categories: 6_000 }).unwrap();
    let trainer = ridge().with_preprocess(Preprocess::default().with_text(vec![Arc::new(one_hot)]));
    let error = refused(&trainer, &columns(Arc::new(StringArray::from(words)), numbers(vec![1.0; 6_000])));
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
}

#[test]
fn hyperparameters_out_of_range_are_refused() {
    for l2 in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(Ridge::new(RidgeParams { l2 }).is_err());
        assert!(Logistic::new(LogisticParams { l2, ..LogisticParams::default() }).is_err());
    }
    assert!(Logistic::new(LogisticParams { max_iterations: 0, ..LogisticParams::default() }).is_err());
    assert!(Logistic::new(LogisticParams { tolerance: 0.0, ..LogisticParams::default() }).is_err());
}

#[test]
fn a_fit_out_of_steps_says_so() {
    let (_, batch) = golden();
    let params = LogisticParams { max_iterations: 1, ..LogisticParams::default() };
    let model = Logistic::new(params).unwrap().fit(&flights(&batch, "late", false), &FitContext::default()).unwrap();
    assert!(!model.is_converged() && model.iterations() == 1);
}

/// Gives its batches, and then an error, in every scan.
#[derive(Debug)]
struct Faulty {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    dies: bool,
}

impl BatchSource for Faulty {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn scan(&self) -> Result<Batches<'_>> {
        let end = self.dies.then(|| Err(Error::unavailable("the disk is gone")));
        Ok(Box::new(self.batches.iter().cloned().map(Ok).chain(end)))
    }
}

fn faulty(second: Option<RecordBatch>, dies: bool) -> Dataset {
    let first = RecordBatch::try_from_iter([("x", numbers([1.0, 2.0])), ("y", numbers([0.0, 1.0]))]).unwrap();
    let source =
        Faulty { schema: first.schema(), batches: [Some(first), second].into_iter().flatten().collect(), dies };
    Dataset::new(source).features(["x"]).unwrap().label("y").unwrap()
}

#[test]
fn a_source_that_dies_in_the_middle_ends_the_fit_with_its_error() {
    for error in [refused(&ridge(), &faulty(None, true)), refused(&logistic(), &faulty(None, true))] {
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "the disk is gone"));
    }
}

#[test]
fn a_schema_that_changes_in_the_middle_is_refused() {
    let retyped =
        RecordBatch::try_from_iter([("x", Arc::new(StringArray::from(vec!["3"])) as ArrayRef), ("y", numbers([0.0]))]);
    insta::assert_snapshot!(
        refused(&ridge(), &faulty(Some(retyped.unwrap()), false)),
        @"a column changed in the middle of the data (column: x, expected: Float64, got: x Utf8)"
    );
    let swapped = RecordBatch::try_from_iter([("y", numbers([0.0])), ("x", numbers([3.0]))]);
    insta::assert_snapshot!(
        refused(&logistic(), &faulty(Some(swapped.unwrap()), false)),
        @"a column changed in the middle of the data (column: x, expected: Float64, got: y Float64)"
    );
    let short = RecordBatch::try_from_iter([("x", numbers([3.0]))]);
    insta::assert_snapshot!(
        refused(&ridge(), &faulty(Some(short.unwrap()), false)),
        @"a batch in the middle has another number of columns (expected: 2, got: 1)"
    );
}

#[test]
fn rows_without_influence_are_still_checked() {
    let batch = RecordBatch::try_from_iter([
        ("x", numbers([1.0, 2.0, 3.0])),
        ("y", numbers([1.0, 2.0, f64::NAN])),
        ("w", numbers([1.0, 1.0, 0.0])),
    ])
    .unwrap();
    let data =
        Dataset::new(Table::from(batch)).features(["x"]).unwrap().label("y").unwrap().role("w", Role::Weight).unwrap();
    insta::assert_snapshot!(refused(&ridge(), &data), @"a label is null, NaN or infinite (column: y, row: 2)");
}
