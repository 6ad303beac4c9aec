//! 8-bit weights, beside what `onnxruntime.quantization` makes of the same models.

use super::{Golden, measured, model, onnx_runtime, score};
use ml_core::{
    ErrorKind, Tensor, Tensors,
    onnx::{
        OnnxModel,
        graph::{Attribute, Domain, GraphBuilder},
    },
    optimize::{
        ActivationType, Calibration, DynamicInt8, DynamicInt8Params, Evaluation, Measure, Optimizer, Pass, RangeMethod,
        StaticInt8, StaticInt8Params,
    },
    signature::TensorSpec,
    tensor::DType,
};

fn dynamic() -> DynamicInt8 {
    DynamicInt8::new(DynamicInt8Params { min_elements: 256, ..Default::default() }).expect("right parameters")
}

#[test]
fn dense_layers_are_smaller_and_closer_than_those_of_onnx_runtime() {
    let golden = Golden::read();
    for name in ["mlp", "encoder"] {
        let theirs = golden.case(name).dynamic;
        let (_, step) = measured(&golden, name, onnx_runtime(), dynamic());
        let cosine = score(&step, Measure::Cosine);
        assert!(step.bytes <= theirs.bytes, "{name}: {} bytes, theirs {}", step.bytes, theirs.bytes);
        // ONNX Runtime leaves the layer with alpha as it is, so its MLP is almost the original.
        let bound = if name == "mlp" { 0.9999 } else { theirs.cosine };
        assert!(cosine >= bound, "{name}: cosine {cosine}, theirs {}", theirs.cosine);
        if let Some(accuracy) = theirs.accuracy {
            assert!(score(&step, Measure::Accuracy) >= accuracy - 0.005, "{name}: {:?}", step.scores);
        }
    }
}

#[test]
fn one_activation_is_quantized_once_for_all_that_read_it() {
    let model = dynamic().apply(&model("encoder")).expect("a model that fits").model;
    let count = |op: &[u8]| model.bytes.windows(op.len()).filter(|window| *window == op).count();
    // Per layer: one for queries and keys, and one for each of the three other dense layers; values are transposed weights.
    assert_eq!(count(b"DynamicQuantizeLinear"), 2 * 4);
    assert_eq!(count(b"MatMulInteger"), 2 * 5);
}

#[test]
fn quantizing_again_changes_nothing() {
    for name in ["mlp", "encoder", "conv"] {
        let once = dynamic().apply(&model(name)).expect("a model that fits").model;
        let again = dynamic().apply(&once).expect("a model that fits");
        assert!(again.changes.is_empty(), "{name}: {}", again.changes);
        assert_eq!(once, again.model, "{name}");
    }
}

/// `x · w + b` of 40 by 30.
fn gemm(weights: Tensor, bias: Tensor, attributes: Vec<Attribute>) -> OnnxModel {
    let mut graph = GraphBuilder::new("gemm");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [40])).expect("free name");
    let (w, b) = (graph.initializer(weights), graph.initializer(bias));
    let y = graph.node(Domain::Onnx, "Gemm", &[x, w, b], attributes);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [30])).expect("free name");
    graph.finish().expect("a valid graph")
}

fn waves(shape: [usize; 2]) -> Tensor {
    let count = u16::try_from(shape[0] * shape[1]).expect("few");
    Tensor::new(shape, (0..count).map(|i| (f32::from(i) * 0.7).sin()).collect()).expect("as many as the shape says")
}

#[test]
fn factors_transposition_and_bias_of_gemm_are_kept() {
    let bias = Tensor::vector((0_u8..30).map(|i| f32::from(i) - 15.0).collect());
    for (alpha, beta, transposed) in [(1.0, 1.0, false), (-2.5, 0.5, true), (0.25, 0.0, false)] {
        let weights = if transposed { waves([30, 40]) } else { waves([40, 30]) };
        let attributes = vec![
            Attribute::float("alpha", alpha),
            Attribute::float("beta", beta),
            Attribute::int("transB", i64::from(transposed)),
        ];
        let original = gemm(weights, bias.clone(), attributes);
        let applied = dynamic().apply(&original).expect("a model that fits");
        assert_eq!(applied.changes.count("matrices to int8"), 1);
        let rows = Tensors::new().with("x", waves([20, 40])).expect("one input");
        let evaluation = Evaluation::new(onnx_runtime(), rows).expect("rows").with_latency([], 0);
        let report = Optimizer::new().with_pass(dynamic()).with_evaluation(evaluation);
        let optimized = report.run(&original).expect("runs");
        let cosine = score(&optimized.report().steps[0], Measure::Cosine);
        assert!(cosine > 0.999, "alpha {alpha}, beta {beta}, transposed {transposed}: {cosine}");
    }
}

#[test]
fn weights_that_cannot_be_coded_are_named() {
    let mut values = vec![0.5_f32; 1200];
    values[7] = f32::NAN;
    let weights = Tensor::new([40, 30], values).expect("1,200");
    let error = dynamic().apply(&gemm(weights, Tensor::vector(vec![0.0_f32; 30]), vec![])).expect_err("no code");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "a weight is NaN or infinite, so it has no code (weight: NaN, tensor: constant_1, node: Gemm y)"
    );
}

#[test]
fn a_matrix_that_is_none_and_an_attribute_of_another_type_are_left_or_refused() {
    let flat = gemm(Tensor::vector(vec![0.5_f32; 1200]), Tensor::vector(vec![0.0_f32; 30]), vec![]);
    let applied = dynamic().apply(&flat).expect("left alone");
    assert_eq!(applied.changes.left_alone()[0].reason, "its weights are no matrix");
    let text = gemm(waves([40, 30]), Tensor::vector(vec![0.0_f32; 30]), vec![Attribute::string("alpha", "much")]);
    assert_eq!(dynamic().apply(&text).expect_err("no number").kind(), ErrorKind::Corrupt);
}

#[test]
fn parameters_that_ask_for_nothing_are_refused() {
    let params = DynamicInt8Params { min_elements: 0, ..Default::default() };
    assert_eq!(DynamicInt8::new(params).expect_err("no matrix").kind(), ErrorKind::InvalidInput);
}

fn calibrated(golden: &Golden, name: &str, params: StaticInt8Params) -> StaticInt8 {
    let calibration = Calibration::new(onnx_runtime(), vec![golden.calibration(name)]).expect("rows");
    StaticInt8::new(params, calibration).expect("right parameters")
}

#[test]
fn calibrated_layers_are_as_good_as_those_of_onnx_runtime() {
    let golden = Golden::read();
    for name in ["mlp", "conv", "encoder"] {
        let theirs = golden.case(name).calibrated;
        let (_, step) = measured(&golden, name, onnx_runtime(), calibrated(&golden, name, StaticInt8Params::default()));
        let cosine = score(&step, Measure::Cosine);
        assert!(step.bytes <= theirs.bytes, "{name}: {} bytes, theirs {}", step.bytes, theirs.bytes);
        assert!(cosine >= theirs.cosine, "{name}: cosine {cosine}, theirs {}", theirs.cosine);
        if let Some(accuracy) = theirs.accuracy {
            assert!(score(&step, Measure::Accuracy) >= accuracy, "{name}: {:?}", step.scores);
        }
    }
}

#[test]
fn every_way_to_find_ranges_and_both_kinds_of_codes_keep_the_answers() {
    let golden = Golden::read();
    for method in [RangeMethod::MinMax, RangeMethod::Percentile(0.9999), RangeMethod::Entropy] {
        for activations in [ActivationType::Uint8, ActivationType::Int8] {
            for name in ["mlp", "conv"] {
                let params = StaticInt8Params { method, activations, ..Default::default() };
                let (_, step) = measured(&golden, name, onnx_runtime(), calibrated(&golden, name, params));
                assert!(score(&step, Measure::Cosine) > 0.9998, "{name} {method:?} {activations:?}: {:?}", step.scores);
                assert!(
                    score(&step, Measure::Agreement) > 0.99,
                    "{name} {method:?} {activations:?}: {:?}",
                    step.scores
                );
            }
        }
    }
}

#[test]
fn calibrating_again_changes_nothing() {
    let golden = Golden::read();
    for name in ["mlp", "conv", "encoder"] {
        let pass = calibrated(&golden, name, StaticInt8Params::default());
        let once = pass.apply(&model(name)).expect(name).model;
        assert_eq!(pass.apply(&once).expect(name).model, once, "{name}");
    }
}

#[test]
fn results_of_a_softmax_get_no_codes() {
    let mut graph = GraphBuilder::new("gate");
    let x = graph.input(TensorSpec::batched("x", DType::Fp32, [40])).expect("free name");
    let (w, v) = (graph.initializer(waves([40, 30])), graph.initializer(waves([30, 30])));
    let raw = graph.node(Domain::Onnx, "MatMul", &[x, w], vec![]);
    let shares = graph.node(Domain::Onnx, "Softmax", &[raw], vec![Attribute::int("axis", 1)]);
    let y = graph.node(Domain::Onnx, "MatMul", &[shares, v], vec![]);
    graph.output(y, TensorSpec::batched("y", DType::Fp32, [30])).expect("free name");
    let model = graph.finish().expect("a valid graph");
    let rows = Tensors::new().with("x", waves([20, 40])).expect("one input");
    let calibration = Calibration::new(onnx_runtime(), vec![rows]).expect("rows");
    let pass = StaticInt8::new(StaticInt8Params::default(), calibration).expect("right parameters");
    let applied = pass.apply(&model).expect("a model that fits");
    assert_eq!(applied.changes.count("dense layers to int8"), 1);
    assert_eq!(applied.changes.left_alone()[0].reason, "its activation is a softmax");
}

#[test]
fn activations_that_are_no_numbers_are_named() {
    let model = gemm(waves([40, 30]), Tensor::vector(vec![0.0_f32; 30]), vec![]);
    let rows = Tensors::new().with("x", Tensor::new([1, 40], vec![f32::NAN; 40]).expect("40")).expect("one input");
    let calibration = Calibration::new(onnx_runtime(), vec![rows]).expect("rows");
    let pass = StaticInt8::new(StaticInt8Params::default(), calibration).expect("right parameters");
    let error = pass.apply(&model).expect_err("NaN");
    assert_eq!(error.to_string(), "an activation is NaN or infinite (value: NaN, tensor: x)");
    let params = StaticInt8Params { method: RangeMethod::Percentile(2.0), ..Default::default() };
    let calibration = Calibration::new(onnx_runtime(), vec![Tensors::new()]).expect("a batch");
    assert_eq!(StaticInt8::new(params, calibration).expect_err("no share").kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_native_runtime_gives_what_onnx_runtime_gives_for_the_same_codes() {
    use ml_core::runtime::{LoadOptions, native::NativeRuntime};
    let golden = Golden::read();
    let passes: [(&str, std::sync::Arc<dyn Pass>); 2] = [
        ("dynamic", std::sync::Arc::new(dynamic())),
        ("static", std::sync::Arc::new(calibrated(&golden, "mlp", StaticInt8Params::default()))),
    ];
    for (what, pass) in passes {
        let smaller = pass.apply(&model("mlp")).expect(what).model;
        let rows = golden.rows("mlp");
        let of = |runtime: &dyn ml_core::InferenceRuntime| {
            let loaded = runtime.load(&smaller, &LoadOptions::default()).expect(what);
            loaded
                .model
                .predict(&rows)
                .expect(what)
                .remove("probabilities")
                .expect("an output")
                .into_values::<f32>()
                .expect("floats")
        };
        let (native, theirs) = (of(&NativeRuntime), of(onnx_runtime().as_ref()));
        let far = native.iter().zip(&theirs).filter(|(a, b)| (**a - **b).abs() > 0.02).count();
        assert_eq!(far, 0, "{what}: {far} of {}", native.len());
    }
}
