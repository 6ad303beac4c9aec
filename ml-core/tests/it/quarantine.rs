//! Models that break the runtime end a child process, and this one says how.

use crate::{own_process::in_own_process, provider::net};
use ml_core::{
    Bundle, ErrorKind, InferenceRuntime, Model, Result, Tensor, Tensors,
    bundle::CARD,
    onnx::OnnxModel,
    runtime::{
        LoadOptions, LoadedModel, Runtimes,
        native::NativeRuntime,
        ort::{OrtConfig, OrtRuntime},
        quarantine::{Quarantine, QuarantineLimits, run_if_child},
    },
};
use rustix::process::{Signal, WaitId, WaitIdOptions, getpid, kill_process, waitid};
use std::{env, ffi::OsString, fs, path::Path, sync::Arc};

/// A quarantine whose child is one of the ignored tests below.
fn child(program: &str) -> Quarantine {
    let arguments = ["--exact", program, "--ignored", "--nocapture", "--test-threads=1"].map(OsString::from);
    Quarantine::command(env::current_exe().expect("this binary"), arguments)
}

fn limits() -> QuarantineLimits {
    QuarantineLimits {
        memory_bytes: 2 << 30,
        cpu_seconds: 30,
        deadline_seconds: 30,
        open_files: 64,
        ..QuarantineLimits::default()
    }
}

fn inspect(program: &str, limits: QuarantineLimits, bundle: &Bundle) -> Result<String> {
    child(program).with_limits(limits).inspect(bundle, &LoadOptions::default())
}

fn good() -> Bundle {
    let model = net();
    let inputs = Tensors::new().with("x", Tensor::new([2, 8], vec![0.25_f32; 16]).expect("as many")).expect("one name");
    let loaded = NativeRuntime.load(&model, &LoadOptions::default()).expect("supported");
    let outputs = loaded.model.predict(&inputs).expect("right inputs");
    Bundle::builder(model).golden(inputs, outputs).expect("fits").build().expect("valid")
}

fn golden_model(name: &str) -> OnnxModel {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/quarantine_{name}.onnx"));
    OnnxModel::from_bytes(fs::read(path).expect("checked in")).expect("well formed")
}

fn endless() -> Bundle {
    let of = |name| Tensors::new().with(name, Tensor::column(vec![0.5_f32])).expect("one name");
    Bundle::builder(golden_model("endless")).golden(of("x"), of("y")).expect("fits").build().expect("valid")
}

fn vast(lengths: Vec<i64>) -> Bundle {
    let lengths = Tensors::new().with("lengths", Tensor::vector(lengths)).expect("one name");
    let sum = Tensors::new().with("y", Tensor::new([], vec![0.0_f32]).expect("a scalar")).expect("one name");
    Bundle::builder(golden_model("vast")).golden(lengths, sum).expect("fits").build().expect("valid")
}

fn ort() -> Result<Runtimes> {
    Ok(Runtimes::new(vec![Arc::new(OrtRuntime::new(OrtConfig::default())?)]))
}

#[test]
#[ignore = "the program of a child"]
fn child_with_ort() {
    let _ = run_if_child(ort);
}

#[test]
#[ignore = "the program of a child"]
fn child_with_native() {
    let _ = run_if_child(|| Ok(Runtimes::new(vec![Arc::new(NativeRuntime)])));
}

/// A runtime that breaks down instead of loading.
#[derive(Debug)]
struct Broken(fn());

impl InferenceRuntime for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn supports(&self, _model: &OnnxModel) -> bool {
        true
    }

    fn load(&self, model: &OnnxModel, options: &LoadOptions) -> Result<LoadedModel> {
        (self.0)();
        NativeRuntime.load(model, options)
    }
}

fn broken(how: fn()) {
    let _ = run_if_child(|| Ok(Runtimes::new(vec![Arc::new(Broken(how))])));
}

#[test]
#[ignore = "the program of a child"]
fn child_aborts() {
    broken(|| std::process::abort());
}

#[test]
#[ignore = "the program of a child"]
fn child_is_killed() {
    broken(|| kill_process(getpid(), Signal::KILL).expect("a process may end itself"));
}

#[test]
#[ignore = "the program of a child"]
fn child_takes_all_memory() {
    broken(|| drop(std::hint::black_box(vec![1_u8; 1 << 40])));
}

#[test]
#[ignore = "the program of a child"]
fn child_writes_a_file() {
    broken(|| {
        let file = env::temp_dir().join(format!("quarantine-{}", std::process::id()));
        let written = fs::write(&file, "a");
        let _ = fs::remove_file(file);
        written.expect("allowed");
    });
}

#[test]
fn a_good_model_passes_and_the_report_is_the_childs() {
    in_own_process(|| {
        let report = inspect("quarantine::child_with_native", limits(), &good()).expect("a good model");
        assert!(report.starts_with("native ") && report.contains(" on cpu"), "{report}");
        let report = inspect("quarantine::child_with_ort", limits(), &good()).expect("a good model");
        assert!(report.starts_with("onnxruntime 1."), "{report}");
        no_child_is_left();
    });
}

#[test]
fn a_model_that_never_ends_is_ended_by_the_clock_or_the_processors_time() {
    in_own_process(|| {
        let by_clock = QuarantineLimits { deadline_seconds: 1, ..limits() };
        let error = inspect("quarantine::child_with_ort", by_clock, &endless()).expect_err("it never ends");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert!(error.to_string().contains("passed the deadline"), "{error}");

        let by_work = QuarantineLimits { cpu_seconds: 1, ..limits() };
        let error = inspect("quarantine::child_with_ort", by_work, &endless()).expect_err("it never ends");
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
        assert!(error.to_string().contains("time of the processor"), "{error}");
        no_child_is_left();
    });
}

#[test]
fn a_model_that_takes_all_memory_is_refused_for_that() {
    in_own_process(|| {
        inspect("quarantine::child_with_ort", limits(), &vast(vec![10, 10])).expect("a hundred zeros fit");
        for lengths in [vec![1 << 31], vec![1 << 31, 1 << 20], vec![1 << 45]] {
            let error = inspect("quarantine::child_with_ort", limits(), &vast(lengths)).expect_err("too many");
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error:?}");
        }
        let error = inspect("quarantine::child_takes_all_memory", limits(), &good()).expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error:?}");
        no_child_is_left();
    });
}

#[test]
fn a_crash_a_kill_and_a_forbidden_write_are_named() {
    in_own_process(|| {
        let error = inspect("quarantine::child_aborts", limits(), &good()).expect_err("it aborts");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        assert!(error.to_string().contains("crashes the runtime") && error.to_string().contains("SIGABRT"), "{error}");
        let error = inspect("quarantine::child_is_killed", limits(), &good()).expect_err("it is killed");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(error.to_string().contains("SIGKILL"), "{error}");
        let no_files = QuarantineLimits { file_bytes: 0, ..limits() };
        let error = inspect("quarantine::child_writes_a_file", no_files, &good()).expect_err("it may write no file");
        assert!(error.to_string().contains("SIGXFSZ"), "{error}");
        no_child_is_left();
    });
}

#[test]
fn what_the_child_refuses_is_refused_under_the_same_kind() {
    in_own_process(|| {
        let error = inspect("quarantine::child_with_native", limits(), &endless()).expect_err("no loops in native");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.to_string().contains("Loop"), "{error}");

        let (inputs, _) = (Tensor::new([2, 8], vec![0.25_f32; 16]), ());
        let inputs = Tensors::new().with("x", inputs.expect("as many")).expect("one name");
        let wrong =
            Tensors::new().with("y", Tensor::new([2, 3], vec![9.0_f32; 6]).expect("as many")).expect("one name");
        let bundle = Bundle::builder(net()).golden(inputs, wrong).expect("fits").build().expect("valid");
        let error = inspect("quarantine::child_with_native", limits(), &bundle).expect_err("other outputs");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
        no_child_is_left();
    });
}

#[test]
fn a_program_that_is_no_child_is_told_from_a_model_that_is_refused() {
    in_own_process(|| {
        let options = LoadOptions::default();
        for program in ["/bin/true", "/bin/cat", "/no/such/program"] {
            let error = Quarantine::command(program, []).inspect(&good(), &options).expect_err("no child of ours");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{program}: {error:?}");
            assert!(error.to_string().contains(program), "{error}");
        }
        let card = Bundle::builder(net()).file(CARD, "{}").expect("a free name").build().expect("valid");
        let error = child("quarantine::child_with_native").inspect(&card, &options).expect_err("nothing to replay");
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
        no_child_is_left();
    });
}

/// Neither running nor waiting to be taken off the list.
fn no_child_is_left() {
    let any = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    assert_eq!(any.err(), Some(rustix::io::Errno::CHILD));
}
