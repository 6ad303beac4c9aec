use ml_core::{
    Bundle, ErrorKind, Signature, Tensor, Tensors, bundle,
    id::{ModelName, Version},
    onnx::OnnxModel,
    port::{PredictionSink, RequestMeta},
    report::Page,
    signature::TensorSpec,
    tensor::DType,
    time::CreatedTime,
};
use ml_monitor::{
    DriftMonitor, PopulationStability, PsiParams, Reference, ReferenceParams, Sample, WindowParams, WindowSink,
    monitor::WindowReport,
};
use std::sync::Arc;

fn bundle(reference: Option<&str>) -> Bundle {
    let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])]).expect("an output");
    let builder = Bundle::builder(OnnxModel { bytes: vec![8, 8].into(), signature });
    match reference {
        Some(json) => builder.file(bundle::REFERENCE, json.as_bytes().to_vec()).and_then(|builder| builder.build()),
        None => builder.build(),
    }
    .expect("files fit")
}

fn reference() -> String {
    let training = Sample::new().with_numbers("wind", (0..1000).map(|i| f64::from(i % 40))).expect("one column");
    let reference = Reference::freeze(&training, &ReferenceParams::default()).expect("there are rows");
    serde_json::to_string(&reference).expect("json")
}

fn monitor() -> (Arc<WindowSink>, DriftMonitor, ModelName) {
    let sink =
        Arc::new(WindowSink::new(WindowParams { due_rows: Some(500), ..WindowParams::default() }).expect("in range"));
    let detector = PopulationStability::new(PsiParams::default()).expect("in range");
    (sink.clone(), DriftMonitor::new(sink, detector), ModelName::new("late").expect("a name"))
}

fn record(sink: &WindowSink, model: &ModelName, version: Version, from: u16, rows: u16) {
    let meta = RequestMeta::new("r", model.clone(), version, CreatedTime::from_micros(0));
    let wind = Tensor::vector((0..rows).map(|i| f32::from(from + i % 40)).collect());
    let probability = Tensor::vector(vec![0.5_f32; usize::from(rows)]);
    let (inputs, outputs) = (Tensors::new().with("wind", wind), Tensors::new().with("late", probability));
    sink.record(&meta, &inputs.expect("one name"), &outputs.expect("one name"));
}

#[test]
fn each_window_has_a_report_of_its_own() {
    let (sink, monitor, model) = monitor();
    monitor.watch(&model, Version::FIRST, &bundle(Some(&reference()))).expect("the reference is there");

    let silent = monitor.report(&model, Version::FIRST).expect("watched");
    assert_eq!((silent.opened, silent.drift.undefined().count()), (None, 1));

    record(&sink, &model, Version::FIRST, 0, 400);
    assert!(monitor.report_due(&model, Version::FIRST).expect("watched").is_none());
    record(&sink, &model, Version::FIRST, 0, 400);
    let still = monitor.report_due(&model, Version::FIRST).expect("watched").expect("800 rows");
    assert!(!still.drift.has_moved(), "{}", still.drift);
    assert_eq!(still.drift.unknown, ["late"], "the reference was frozen without the outputs");

    record(&sink, &model, Version::FIRST, 30, 400);
    let moved = monitor.report(&model, Version::FIRST).expect("watched");
    assert!(moved.drift.has_moved() && moved.opened.is_some());
    let json = serde_json::to_string(&moved).expect("json");
    let read: WindowReport = serde_json::from_str(&json).expect("own json");
    assert_eq!(read, moved);
}

#[test]
fn rows_that_were_dropped_are_told_to_every_reader() {
    let params = WindowParams { max_rows: 160, ..WindowParams::default() };
    let sink = Arc::new(WindowSink::new(params).expect("in range"));
    let detector = PopulationStability::new(PsiParams::default()).expect("in range");
    let monitor = DriftMonitor::new(sink.clone(), detector);
    let model = ModelName::new("late").expect("a name");
    monitor.watch(&model, Version::FIRST, &bundle(Some(&reference()))).expect("the reference is there");

    record(&sink, &model, Version::FIRST, 0, 160);
    record(&sink, &model, Version::FIRST, 0, 40);
    let report = monitor.report(&model, Version::FIRST).expect("watched");
    let told = "40 rows are not in this report: 40 came when the window was full";
    assert!(report.to_string().contains(told), "{report}");
    assert!(Page::new("t", "s").section(report.to_section("Drift")).render().contains(told));
}

#[test]
fn versions_that_are_not_watched_are_told() {
    let (sink, monitor, model) = monitor();
    assert_eq!(monitor.report(&model, Version::FIRST).expect_err("not watched").kind(), ErrorKind::NotFound);
    monitor.watch(&model, Version::FIRST, &bundle(Some(&reference()))).expect("the reference is there");
    record(&sink, &model, Version::FIRST, 0, 10);
    monitor.forget(&model, Version::FIRST);
    assert_eq!(monitor.report_due(&model, Version::FIRST).expect_err("forgotten").kind(), ErrorKind::NotFound);
    assert!(sink.tracked().is_empty());
}

#[test]
fn a_bundle_without_a_whole_reference_is_refused() {
    let (_, monitor, model) = monitor();
    let kind = |reference| monitor.watch(&model, Version::FIRST, &bundle(reference)).expect_err("no reference").kind();
    assert_eq!(kind(None), ErrorKind::NotFound);
    assert_eq!(kind(Some("{}")), ErrorKind::Corrupt);
    assert_eq!(kind(Some(&reference().replace("\"rows\":1000", "\"rows\":1001"))), ErrorKind::Corrupt);
}
