//! Half precision, pruning and folded constants.

use super::{Golden, measured, model, onnx_runtime, score};
use ml_core::{
    ErrorKind, Result, Tensor, Tensors,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder, Value},
    },
    optimize::{
        Evaluation, FoldConstants, FoldConstantsParams, Fp16, Fp16Params, MagnitudePrune, MagnitudePruneParams,
        Measure, Optimizer, Pass, StructuredPrune, StructuredPruneParams,
    },
    signature::TensorSpec,
    tensor::DType,
};

#[test]
fn half_precision_halves_the_file_and_keeps_the_answers() {
    let golden = Golden::read();
    for name in ["mlp", "conv", "encoder"] {
        let original = model(name).bytes.len();
        let (_, step) = measured(&golden, name, onnx_runtime(), Fp16::new(Fp16Params::default()));
        let bytes = usize::try_from(step.bytes).expect("small");
        assert!(bytes * 100 < original * 62, "{name}: {original} -> {bytes}, {}", step.changes);
        assert!(score(&step, Measure::Cosine) > 0.99999, "{name}: {:?}", step.scores);
        assert_eq!(step.changes.count("weights clamped"), 0);
    }
}

#[test]
fn half_precision_twice_is_half_precision_once() {
    for name in ["mlp", "conv", "encoder"] {
        let pass = Fp16::new(Fp16Params::default());
        let once = pass.apply(&model(name)).expect(name);
        let again = pass.apply(&once.model).expect(name);
        assert!(again.changes.is_empty(), "{name}: {}", again.changes);
        assert_eq!(again.model, once.model);
    }
}

#[test]
fn operators_that_the_host_names_stay_in_single_precision() {
    let keep = Fp16::new(Fp16Params { keep: vec!["MatMul".into(), "Gemm".into(), "Conv".into()] });
    let few = keep.apply(&model("conv")).expect("a model that fits").changes.count("nodes in half precision");
    let all = Fp16::new(Fp16Params::default()).apply(&model("conv")).expect("fits").changes;
    assert!(few < all.count("nodes in half precision"), "{few} of {all}");
}

/// `x` of 8 through a graph to `y` of 4.
fn built(body: impl FnOnce(&mut GraphBuilder, Value) -> Value) -> OnnxModel {
    let mut graph = GraphBuilder::new("built");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [8])).expect("free name");
    let y = body(&mut graph, x);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [4])).expect("free name");
    graph.finish().expect("a valid graph")
}

fn waves(shape: [usize; 2]) -> Tensor {
    let count = u16::try_from(shape[0] * shape[1]).expect("few");
    Tensor::new(shape, (0..count).map(|i| (f32::from(i) * 0.7).sin()).collect()).expect("as many as the shape says")
}

fn predicted(model: &OnnxModel) -> Result<Vec<f32>> {
    use ml_core::runtime::LoadOptions;
    let rows = Tensors::new().with("x", waves([5, 8]))?;
    onnx_runtime().load(model, &LoadOptions::default())?.model.predict(&rows)?.remove("y").expect("y").into_values()
}

#[test]
fn a_least_denominator_does_not_become_zero_and_a_large_weight_becomes_the_largest() {
    let model = built(|graph, x| {
        let w = graph.initializer(waves([8, 4]));
        let (least, large) =
            (graph.initializer(Tensor::vector(vec![1e-12_f32])), graph.initializer(Tensor::vector(vec![3e38_f32])));
        let product = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
        let zero = graph.node(Domain::Onnx, "Sub", &[product, product], vec![]);
        let positive = graph.node(Domain::Onnx, "Add", &[zero, least], vec![]);
        let zero = graph.node(Domain::Onnx, "Div", &[zero, positive], vec![]);
        let most = graph.node(Domain::Onnx, "Min", &[product, large], vec![]);
        graph.node(Domain::Onnx, "Add", &[most, zero], vec![])
    });
    let applied = Fp16::new(Fp16Params::default()).apply(&model).expect("fits");
    assert_eq!(applied.changes.count("weights clamped"), 1);
    assert_eq!(applied.changes.left_alone()[0].reason, "a constant is too small for half precision");
    let (before, after) = (predicted(&model).expect("runs"), predicted(&applied.model).expect("runs"));
    assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 0.01), "{before:?} {after:?}");
}

#[test]
fn units_that_do_nothing_go_first_and_nothing_is_lost() {
    let dead = [1_usize, 4, 5];
    let model = built(|graph, x| {
        let (mut w, mut v) = (
            waves([8, 10]).into_values::<f32>().expect("floats"),
            waves([10, 4]).into_values::<f32>().expect("floats"),
        );
        // Nothing goes into some units, and what comes out of another is not read.
        for row in w.chunks_exact_mut(10) {
            row[1] = 0.0;
            row[4] = 0.0;
        }
        v[5 * 4..6 * 4].fill(0.0);
        let (w, v) = (
            graph.initializer(Tensor::new([8, 10], w).expect("80")),
            graph.initializer(Tensor::new([10, 4], v).expect("40")),
        );
        let (b, c) =
            (graph.initializer(Tensor::vector(vec![0.0_f32; 10])), graph.initializer(Tensor::vector(vec![1.0_f32; 4])));
        let hidden = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
        let hidden = graph.node(Domain::Onnx, "Add", &[hidden, b], vec![]);
        let hidden = graph.node(Domain::Onnx, "Relu", &[hidden], vec![]);
        graph.node(Domain::Onnx, "Gemm", &[hidden, v, c], vec![])
    });
    let pass = StructuredPrune::new(StructuredPruneParams { fraction: 0.3 }).expect("a share");
    let applied = pass.apply(&model).expect("fits");
    assert_eq!(applied.changes.to_string(), "layers: 1, units taken out: 3, weights taken out: 36");
    let (before, after) = (predicted(&model).expect("runs"), predicted(&applied.model).expect("runs"));
    assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-5), "{dead:?}: {before:?} {after:?}");
}

#[test]
fn units_that_something_else_sees_stay() {
    let pass = StructuredPrune::new(StructuredPruneParams { fraction: 0.5 }).expect("a share");
    let layers = |op: &'static str, residual: bool, shared: bool| {
        built(|graph, x| {
            let (w, v) = (graph.initializer(waves([8, 8])), graph.initializer(waves([8, 4])));
            let hidden = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
            let hidden = graph.node(Domain::Onnx, op, &[hidden], vec![]);
            let hidden = if residual { graph.node(Domain::Onnx, "Add", &[hidden, x], vec![]) } else { hidden };
            let hidden = if shared { graph.node(Domain::Onnx, "MatMul", &[hidden, w], vec![]) } else { hidden };
            graph.node(Domain::Onnx, "MatMul", &[hidden, v], vec![])
        })
    };
    for (what, model) in [
        ("units are compared with each other", layers("Softmax", false, false)),
        ("units are added to the input", layers("Relu", true, false)),
        ("two layers have the same weights", layers("Relu", false, true)),
    ] {
        let applied = pass.apply(&model).expect(what);
        assert!(applied.changes.is_empty(), "{what}: {}", applied.changes);
    }
    assert_eq!(pass.apply(&layers("Tanh", false, false)).expect("fits").changes.count("units taken out"), 4);
}

#[test]
fn dense_layers_and_convolutions_shrink_and_still_tell_digits_apart() {
    let golden = Golden::read();
    for (name, fraction, least) in [("mlp", 0.2, 0.85), ("conv", 0.2, 0.6)] {
        let pass = StructuredPrune::new(StructuredPruneParams { fraction }).expect("a share");
        let original = model(name).bytes.len();
        let (_, step) = measured(&golden, name, onnx_runtime(), pass);
        assert_eq!(step.changes.count("layers"), 2, "{name}: {}", step.changes);
        let bytes = usize::try_from(step.bytes).expect("small");
        assert!(bytes * 100 < original * 85, "{name}: {original} -> {bytes}");
        let accuracy = score(&step, Measure::Accuracy);
        assert!(accuracy > least, "{name}: {accuracy}");
    }
}

#[test]
fn the_smallest_weights_become_zero_whatever_their_layer() {
    let golden = Golden::read();
    let global = MagnitudePrune::new(MagnitudePruneParams { fraction: 0.4, global: true }).expect("a share");
    let (once, step) = measured(&golden, "mlp", onnx_runtime(), global.clone());
    let weights = 64 * 64 + 64 * 48 + 48 * 10;
    assert_eq!(step.changes.count("weights set to zero"), weights * 4 / 10);
    assert!(score(&step, Measure::Accuracy) > 0.93, "{:?}", step.scores);
    assert!(global.apply(&once).expect("fits").changes.is_empty(), "the same weights are the smallest");
    let each = MagnitudePrune::new(MagnitudePruneParams { fraction: 0.4, global: false }).expect("a share");
    let each = each.apply(&model("mlp")).expect("fits").changes.count("weights set to zero");
    assert_eq!(each, [64 * 64, 64 * 48, 48 * 10].iter().map(|count| count * 4 / 10).sum::<u64>());
}

#[test]
fn shares_and_weights_that_are_no_numbers_are_refused() {
    for fraction in [-0.1, 1.0, f64::NAN] {
        assert!(StructuredPrune::new(StructuredPruneParams { fraction }).is_err());
        assert!(MagnitudePrune::new(MagnitudePruneParams { fraction, global: true }).is_err());
    }
    let model = built(|graph, x| {
        let (w, v) = (Tensor::new([8, 8], vec![f32::NAN; 64]).expect("64"), waves([8, 4]));
        let (w, v) = (graph.initializer(w), graph.initializer(v));
        let hidden = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
        graph.node(Domain::Onnx, "MatMul", &[hidden, v], vec![])
    });
    let magnitude = MagnitudePrune::new(MagnitudePruneParams::default()).expect("a share");
    let structured = StructuredPrune::new(StructuredPruneParams::default()).expect("a share");
    for error in [magnitude.apply(&model).expect_err("NaN"), structured.apply(&model).expect_err("NaN")] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn constants_are_computed_once_and_large_ones_are_not_kept() {
    let model = built(|graph, x| {
        let small = graph.initializer(Tensor::vector((0..4_i64).collect()));
        let small = graph.node(Domain::Onnx, "Cast", &[small], vec![Attribute::int("to", 1)]);
        let w = graph.initializer(Tensor::new([8, 4], vec![1_u8; 32]).expect("32"));
        let w = graph.node(Domain::Onnx, "Cast", &[w], vec![Attribute::int("to", 1)]);
        let product = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
        graph.node(Domain::Onnx, "Add", &[product, small], vec![])
    });
    let tight = FoldConstants::new(FoldConstantsParams { max_growth_bytes: 16 });
    let applied = tight.apply(&model).expect("fits");
    assert_eq!(applied.changes.count("nodes computed"), 1);
    assert_eq!(applied.changes.left_alone()[0].reason, "what it gives is larger than what it reads");
    let all = FoldConstants::new(FoldConstantsParams::default()).apply(&model).expect("fits");
    assert_eq!(all.changes.to_string(), "nodes computed: 2");
    assert_eq!(predicted(&model).expect("runs"), predicted(&all.model).expect("runs"));
    let evaluation =
        Evaluation::new(onnx_runtime(), Tensors::new().with("x", waves([5, 8])).expect("one")).expect("rows");
    let optimizer = Optimizer::new().with_pass(tight).with_evaluation(evaluation.with_latency([], 0));
    let optimized = optimizer.run(&model).expect("runs");
    assert_eq!(score(&optimized.report().steps[0], Measure::MaxDifference).to_bits(), 0);
}
