//! What holds for every pass, and the gate.

use ml_core::{
    ErrorKind, Result, Tensor, Tensors,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    optimize::{
        AccuracyGate, Applied, Changes, DynamicInt8, Evaluation, FoldConstants, Fp16, Labels, MagnitudePrune, Measure,
        Optimizer, Pass, RemoveDeadNodes, ShrinkTrees, StructuredPrune, Verdict,
    },
    runtime::native::NativeRuntime,
    signature::TensorSpec,
    tensor::DType,
};
use proptest::prelude::*;
use std::sync::Arc;

/// `factor * x + 3`.
fn line(factor: f32) -> OnnxModel {
    let mut graph = GraphBuilder::new("line");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [1])).expect("free name");
    let attributes = vec![Attribute::floats("coefficients", [factor]), Attribute::floats("intercepts", [3.0])];
    let y = graph.node(Domain::Ml, "LinearRegressor", &[x], attributes);
    graph.output(y, TensorSpec::batched("prediction", DType::Fp32, [1])).expect("free name");
    graph.finish().expect("a valid graph")
}

/// A pass that gives another line, as a pass that loses accuracy does.
#[derive(Debug)]
struct Bend(f32);

impl Pass for Bend {
    fn name(&self) -> &'static str {
        "bend"
    }

    fn apply(&self, _: &OnnxModel) -> Result<Applied> {
        let mut changes = Changes::default();
        changes.add("lines bent", 1);
        Ok(Applied { model: line(self.0), changes })
    }
}

fn evaluation() -> Evaluation {
    let rows = Tensors::new().with("x", Tensor::column(vec![1.0_f32, 2.0, 3.0])).expect("one input");
    Evaluation::new(Arc::new(NativeRuntime), rows)
        .expect("rows")
        .with_labels(Labels::Numbers(vec![5.0, 7.0, 9.0]))
        .expect("one a row")
}

#[test]
fn a_gate_stops_at_the_first_pass_that_loses_too_much() {
    let gate = AccuracyGate::new(Measure::Rmse, 0.25).expect("a number");
    let evaluation = evaluation().with_gate(gate).expect("labels are there");
    let optimizer =
        Optimizer::new().with_pass(Bend(2.1)).with_pass(Bend(3.0)).with_pass(Bend(2.0)).with_evaluation(evaluation);
    let refused = optimizer.run(&line(2.0)).expect("a finding is no error");
    assert!(refused.model().is_none());
    assert_eq!(refused.report().steps.len(), 2);
    let Verdict::Refused { ref pass, measure, lost, max_loss } = refused.report().verdict else {
        panic!("{}", refused.report());
    };
    assert_eq!((pass.as_str(), measure, max_loss), ("bend", Measure::Rmse, 0.25));
    assert!((lost - (14.0_f64 / 3.0).sqrt()).abs() < 1e-6, "{lost}");
}

#[test]
fn a_gate_lets_pass_what_loses_as_much_as_is_allowed() {
    let gate = AccuracyGate::new(Measure::MaxDifference, 0.5).expect("a number");
    let evaluation = evaluation().with_gate(gate).expect("no labels are needed");
    let optimizer = Optimizer::new().with_pass(Bend(2.1)).with_evaluation(evaluation);
    let accepted = optimizer.run(&line(2.0)).expect("runs");
    assert!(accepted.report().verdict.is_accepted());
    assert_eq!(accepted.into_model(), Some(line(2.1)));
}

#[test]
fn predictions_that_are_no_numbers_are_refused_by_any_gate() {
    for measure in [Measure::Rmse, Measure::MaxDifference, Measure::Cosine] {
        let gate = AccuracyGate::new(measure, 1e9).expect("a number");
        let evaluation = evaluation().with_gate(gate).expect("labels are there");
        let optimizer = Optimizer::new().with_pass(Bend(f32::NAN)).with_evaluation(evaluation);
        match optimizer.run(&line(2.0)) {
            Ok(optimized) => assert!(optimized.model().is_none(), "{}", optimized.report()),
            // A runtime may refuse such a model altogether.
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        }
    }
}

#[test]
fn a_gate_without_what_it_needs_is_refused_before_any_work() {
    let gate = AccuracyGate::new(Measure::Accuracy, 0.1).expect("a number");
    let error = evaluation().with_gate(gate).expect_err("labels are numbers");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    // Agreement needs classes, of which the model has none.
    let gate = AccuracyGate::new(Measure::Agreement, 0.1).expect("a number");
    let evaluation = evaluation().with_gate(gate).expect("no labels are needed");
    let error =
        Optimizer::new().with_pass(Bend(2.0)).with_evaluation(evaluation).run(&line(2.0)).expect_err("no class");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_report_prints_a_row_for_every_step_and_the_verdict() {
    let gate = AccuracyGate::new(Measure::Rmse, 0.25).expect("a number");
    let evaluation = evaluation().with_gate(gate).expect("labels are there").with_latency([], 0);
    let optimizer = Optimizer::new().with_pass(RemoveDeadNodes).with_pass(Bend(2.1)).with_evaluation(evaluation);
    let printed = optimizer.run(&line(2.0)).expect("runs").report().to_string();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines[1..],
        [
            "pass         bytes  of original  rmse     mae      r2       cosine   max_difference",
            "(original)   218    100.0 %      0.00000  0.00000  1.00000  1.00000  0.00000",
            "remove-dead  218    100.0 %      0.00000  0.00000  1.00000  1.00000  0.00000",
            "bend         218    100.0 %      0.21602  0.20000  0.98250  0.99999  0.30000",
            "remove-dead: nothing changed",
            "bend: lines bent: 1",
            "accepted: rmse lost 0.21602 of 0.25 allowed",
        ]
    );
    assert!(lines[0].starts_with("measured on 3 rows with native "), "{}", lines[0]);
}

/// Every pass that needs no data.
fn passes() -> Vec<Arc<dyn Pass>> {
    vec![
        Arc::new(RemoveDeadNodes),
        Arc::new(FoldConstants::new(Default::default())),
        Arc::new(DynamicInt8::new(Default::default()).expect("right parameters")),
        Arc::new(Fp16::new(Default::default())),
        Arc::new(MagnitudePrune::new(Default::default()).expect("right parameters")),
        Arc::new(StructuredPrune::new(Default::default()).expect("right parameters")),
        Arc::new(ShrinkTrees::new(Default::default()).expect("right parameters")),
    ]
}

#[test]
fn passes_keep_the_signature_and_repeat() {
    let others = crate::runtime::golden().into_iter().map(|(name, model, ..)| (name, model));
    let own = ["mlp", "conv", "encoder"].map(|name| (name.to_owned(), super::model(name)));
    for (name, model) in own.into_iter().chain(others) {
        for pass in passes() {
            let applied = match pass.apply(&model) {
                Ok(applied) => applied,
                // Some golden models import sets of operators before those that a pass writes.
                Err(error) if error.kind() == ErrorKind::Unsupported => continue,
                Err(error) => panic!("{name}, {}: {error:?}", pass.name()),
            };
            assert_eq!(applied.model.signature, model.signature, "{name}, {}", pass.name());
            assert_eq!(pass.apply(&model).expect("as before"), applied, "{name}, {}", pass.name());
        }
    }
}

#[test]
fn a_pass_that_breaks_its_contract_is_told() {
    #[derive(Debug)]
    struct Rename;
    impl Pass for Rename {
        fn name(&self) -> &'static str {
            "rename"
        }
        fn apply(&self, _: &OnnxModel) -> Result<Applied> {
            Ok(Applied { model: super::model("mlp"), changes: Changes::default() })
        }
    }
    let error = Optimizer::new().with_pass(Rename).run(&line(2.0)).expect_err("another signature");
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(error.to_string(), "optimize: a pass changed the signature of the model (pass: rename)");
}

#[test]
fn models_that_lie_about_themselves_are_refused_by_every_pass() {
    let mut foreign = super::model("mlp");
    foreign.signature = line(1.0).signature;
    let mut cut = super::model("mlp");
    cut.bytes.truncate(cut.bytes.len() / 2);
    for pass in passes() {
        assert_eq!(pass.apply(&foreign).expect_err("foreign").kind(), ErrorKind::InvalidInput, "{}", pass.name());
        assert_eq!(pass.apply(&cut).expect_err("cut").kind(), ErrorKind::Corrupt, "{}", pass.name());
    }
}

#[test]
fn without_data_sizes_are_measured() {
    let optimized = Optimizer::new().with_pass(RemoveDeadNodes).run(&line(2.0)).expect("runs");
    assert_eq!(optimized.report().verdict, Verdict::NotAsked);
    assert!(optimized.report().steps[0].bytes > 0);
    assert!(optimized.into_model().is_some());
}

#[test]
fn dead_nodes_go_and_outputs_keep_their_names() {
    let mut graph = GraphBuilder::new("dead");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2])).expect("free name");
    let unread = graph.initializer(Tensor::vector(vec![1.0_f32; 4]));
    let a = graph.node(Domain::Onnx, "Identity", &[x], vec![]);
    let b = graph.node(Domain::Onnx, "Identity", &[a], vec![]);
    let dead = graph.node(Domain::Onnx, "Add", &[b, unread], vec![]);
    graph.node(Domain::Onnx, "Sigmoid", &[dead], vec![]);
    let squashed = graph.node(Domain::Onnx, "Sigmoid", &[b], vec![]);
    let [dropped, _mask] = graph.node_of(Domain::Onnx, "Dropout", &[squashed], vec![]);
    let out = graph.node(Domain::Onnx, "Identity", &[dropped], vec![]);
    let again = graph.node(Domain::Onnx, "Sigmoid", &[dropped], vec![]);
    graph.output(out, TensorSpec::batched("y", DType::Fp32, [2])).expect("free name");
    graph.output(again, TensorSpec::batched("z", DType::Fp32, [2])).expect("free name");
    let model = graph.finish().expect("a valid graph");
    let applied = RemoveDeadNodes.apply(&model).expect("a valid model");
    assert_eq!(
        applied.changes.to_string(),
        "nodes that give their input back: 4, nodes without a reader: 2, constants without a reader: 1"
    );
    let again = RemoveDeadNodes.apply(&applied.model).expect("a valid model");
    assert!(again.changes.is_empty(), "{}", again.changes);
    let rows = Tensors::new().with("x", Tensor::new([1, 2], vec![0.0_f32, 50.0]).expect("two")).expect("one input");
    let outputs = crate::runtime::load(&applied.model).and_then(|model| model.predict(&rows)).expect("two sigmoids");
    assert_eq!(outputs.require("y").unwrap().values::<f32>().unwrap(), [0.5, 1.0]);
}

#[test]
fn the_input_that_is_an_output_as_well_stays() {
    let mut graph = GraphBuilder::new("through");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [2])).expect("free name");
    graph.output(x, TensorSpec::batched("y", DType::Fp32, [2])).expect("free name");
    let model = graph.finish().expect("a valid graph");
    let applied = RemoveDeadNodes.apply(&model).expect("a valid model");
    assert!(applied.changes.is_empty());
}

#[test]
fn rows_of_a_data_set_fill_one_input_in_order_and_labels_are_classes() {
    use ml_core::{
        Dataset, Table,
        arrow::array::{ArrayRef, Float32Array, Int64Array, RecordBatch},
    };
    let golden = super::Golden::read();
    let pixels = golden.rows("mlp");
    let pixels = pixels.require("x").and_then(Tensor::values::<f32>).expect("digits");
    let column = |at: usize| pixels.iter().skip(at).step_by(64).copied();
    let mut columns: Vec<(String, ArrayRef)> = (0..64)
        .map(|at| (format!("p{at}"), Arc::new(Float32Array::from_iter_values(column(at))) as ArrayRef))
        .collect();
    columns.push(("digit".into(), Arc::new(Int64Array::from(golden.labels().to_vec()))));
    let table = Table::from(RecordBatch::try_from_iter(columns).expect("columns of one length"));
    let features = (0..64).map(|at| format!("p{at}"));
    let data = Dataset::new(table).features(features).and_then(|data| data.label("digit")).expect("columns");
    let model = super::model("mlp");
    let evaluation = Evaluation::from_dataset(Arc::new(NativeRuntime), &model, &data, usize::MAX)
        .and_then(|evaluation| evaluation.with_gate(AccuracyGate::new(Measure::Accuracy, 0.0)?))
        .expect("classes")
        .with_latency([1], 3);
    let optimizer = Optimizer::new().with_pass(RemoveDeadNodes).with_evaluation(evaluation);
    let optimized = optimizer.run(&model).expect("runs");
    let step = &optimized.report().steps[0];
    assert_eq!(super::score(step, Measure::Accuracy), 0.97);
    assert_eq!((step.latencies.len(), step.latencies[0].rows), (1, 1));
    // A model that takes another number of columns says so.
    let short = data.with_source(data.to_table().expect("rows")).expect("the same columns");
    let error =
        Evaluation::from_dataset(Arc::new(NativeRuntime), &line(1.0), &short, 10).expect_err("64 columns for one");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_operator_set_from_before_what_a_pass_writes_is_refused() {
    let mut model = super::model("mlp");
    // The import of version 17 of the set with the empty name becomes one of version 10.
    let at = model.bytes.windows(4).rposition(|bytes| bytes == [0x0a, 0x00, 0x10, 17]).expect("an import");
    let mut bytes = model.bytes.to_vec();
    bytes[at + 3] = 10;
    model.bytes = bytes.into();
    for pass in [&passes()[2], &passes()[3]] {
        let error = pass.apply(&model).expect_err("too old");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_pass_panics_on_a_damaged_model(
        which in 0..6_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let golden = || crate::runtime::golden_of("trees").into_iter().nth(which * 2).map(|(_, model, ..)| model);
        let model = match which {
            0 => super::model("mlp"),
            1 => super::model("conv"),
            2 => super::model("encoder"),
            _ => golden().expect("a golden model"),
        };
        let mut bytes = model.bytes.to_vec();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        if let Ok(damaged) = OnnxModel::from_bytes(bytes) {
            for pass in passes() {
                // Whatever it says, it says it.
                drop(pass.apply(&damaged));
            }
        }
    }
}
