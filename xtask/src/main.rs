//! Development commands of ml-platform. Only the standard library, so that the command itself builds in a moment.

mod contract;
mod failure;
mod graph;
mod python;
mod step;

use failure::{Failure, Result};
use python::Environment;
use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use step::Steps;

const HELP: &str = "\
Development commands of ml-platform.

  cargo xtask test    everything: format, lints, docs, tests, doctests, rules of this workspace, the quickstart.
                      Sets up what the tests need under target/, on a bare machine too.
  cargo xtask check   the fast part while you work: format, lints, rules of this workspace, unit tests.
  cargo xtask data    writes examples/data/*.parquet anew from their source.
";

/// The last version of the package whose files include the node tests.
const ONNX_WITH_NODE_TESTS: &str = "1.17.0";

/// Libraries of ONNX Runtime beside the one for processors: with OpenVINO, with CUDA and TensorRT, and one that is too old.
const OTHER_LIBRARIES: [(&str, &str, &str); 3] = [
    ("ORT_OPENVINO_PATH", "onnxruntime-openvino", "1.24.1"),
    ("ORT_GPU_PATH", "onnxruntime-gpu", "1.31.1"),
    ("ORT_OLD_PATH", "onnxruntime", "1.23.2"),
];

/// Packages that ship models which people run: a detector of file types, one of speech, and readers of text in pictures.
const PACKAGES_WITH_MODELS: [(&str, &str); 3] =
    [("magika", "1.0.3"), ("silero-vad", "6.2.3"), ("rapidocr-onnxruntime", "1.4.4")];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["test"] => test(),
        ["check"] => check(),
        ["data"] => data(),
        _ => Err(Failure::new(format!("no such command: cargo xtask {}\n\n{HELP}", arguments.join(" ")))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\ncargo xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<()> {
    let mut steps = Steps::new();
    let python = steps.call("python", || Environment::prepare("venv", &root().join("xtask/requirements.txt")))?;
    steps.export("ML_PLATFORM_PYTHON", python.interpreter());
    steps.export("ORT_DYLIB_PATH", ort_library(&python.packages()?)?);
    let node_tests = steps.call("node tests of ONNX", || python.unpack("onnx", ONNX_WITH_NODE_TESTS))?;
    steps.export("ONNX_NODE_TESTS", node_tests.join("onnx/backend/test/data/node"));
    let with_models = |(package, version)| steps.call(package, || python.unpack(package, version));
    let real_models = PACKAGES_WITH_MODELS.into_iter().map(with_models).collect::<Result<Vec<_>>>()?;
    steps.export(
        "ONNX_REAL_MODELS",
        std::env::join_paths(real_models).map_err(|error| Failure::new(error.to_string()))?,
    );
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        for (variable, package, version) in OTHER_LIBRARIES {
            let packages = steps.call(package, || python.unpack(package, version))?;
            steps.export(variable, ort_library(&packages)?);
        }
    } else {
        steps.leave_out("other libraries of ONNX Runtime", "they are built for Linux on x86-64");
    }
    steps.write_exports(&root().join("target/test-env.sh"))?;

    steps.run("format", cargo(["fmt", "--all", "--check"]))?;
    steps.run("lints", lints())?;
    let mut docs = cargo(["doc", "--workspace", "--all-features", "--no-deps"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    steps.run("docs", docs)?;
    let tests = if has(cargo(["nextest", "--version"])) {
        cargo(["nextest", "run", "--workspace", "--all-features", "--no-fail-fast"])
    } else {
        cargo(["test", "--workspace", "--all-features", "--tests", "--no-fail-fast"])
    };
    steps.run_and_repeat("tests", tests, &["Summary [", "test result:"])?;
    if Path::new("/dev/nvidiactl").exists() {
        let gpu = ["test", "--package", "ml-core", "--all-features", "--test", "it", "gpu::", "--", "--ignored"];
        steps.run_and_repeat("tests on the GPU", cargo(gpu), &["test result:"])?;
    } else {
        steps.leave_out("tests on the GPU", "there is no NVIDIA device");
    }
    let doctests = cargo(["test", "--doc", "--workspace", "--all-features", "--no-fail-fast"]);
    steps.run_and_repeat("doctests", doctests, &["test result:"])?;
    steps.call("star", graph::check_star)?;
    steps.call("duplicates", graph::check_duplicates)?;
    steps.call("contracts", contract::check_contracts)?;
    if has(cargo(["deny", "--version"])) {
        steps.run("licenses and bans", cargo(["deny", "--all-features", "check", "bans", "licenses", "sources"]))?;
    } else {
        steps.leave_out("licenses and bans", "cargo-deny is not installed");
    }
    steps.run("quickstart", cargo(["run", "--release", "--example", "quickstart"]))?;
    steps.call("report", quickstart_report)?;
    let mut on_ort = cargo(["run", "--release", "--features", "ort", "--example", "quickstart"]);
    on_ort.args(["--", "--runtime", "ort"]);
    steps.run("quickstart on ort", on_ort)?;
    steps.summarize();
    Ok(())
}

fn check() -> Result<()> {
    let mut steps = Steps::new();
    steps.run("format", cargo(["fmt", "--all", "--check"]))?;
    steps.run("lints", lints())?;
    steps.call("star", graph::check_star)?;
    steps.call("duplicates", graph::check_duplicates)?;
    steps.call("contracts", contract::check_contracts)?;
    steps.run_and_repeat("unit tests", cargo(["test", "--workspace", "--all-features", "--lib"]), &["test result:"])?;
    steps.summarize();
    Ok(())
}

fn data() -> Result<()> {
    let mut steps = Steps::new();
    let folder = root().join("examples/data");
    let python = steps.call("python", || Environment::prepare("venv-data", &folder.join("requirements.txt")))?;
    let mut fetch = Command::new(python.interpreter());
    fetch.arg(folder.join("fetch.py"));
    steps.run("write", fetch)
}

fn lints() -> Command {
    cargo(["clippy", "--workspace", "--all-features", "--all-targets", "--", "-D", "warnings"])
}

/// The shared library of ONNX Runtime among Python packages.
fn ort_library(packages: &Path) -> Result<PathBuf> {
    python::file_in(&packages.join("onnxruntime/capi"), "libonnxruntime.")
}

/// A quickstart that ends well but shows nothing has not ended well.
fn quickstart_report() -> Result<()> {
    let page = root().join("target/quickstart/report.html");
    let html = std::fs::read_to_string(&page)
        .map_err(|error| Failure::new(format!("the quickstart wrote no {}: {error}", page.display())))?;
    if html.contains("<svg") && html.trim_end().ends_with("</html>") {
        println!("{} ({} kB)", page.display(), html.len() / 1000);
        Ok(())
    } else {
        Err(Failure::new(format!("the page of the quickstart is not whole or has no picture: {}", page.display())))
    }
}

/// The cargo that runs this command.
fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

fn has(mut command: Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_path_buf()
}
