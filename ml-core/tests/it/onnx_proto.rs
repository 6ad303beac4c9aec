//! The generated ONNX types are those of `proto/onnx.proto`.

use std::{fs, path::Path};

const HEADER: &str = "\
// Generated from `proto/onnx.proto`; do not edit. After a change there:
//     UPDATE_GENERATED=1 cargo nextest run --workspace --all-features -E 'test(onnx_proto)'

";

#[test]
fn generated_types_are_those_of_the_proto_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["onnx.proto"], [root.join("proto")]).expect("the proto file is valid");
    let out = tempfile::tempdir().expect("a temporary folder");
    prost_build::Config::new()
        .bytes(["."])
        .out_dir(out.path())
        .compile_fds(descriptors)
        .expect("the proto file has Rust types");
    let generated = HEADER.to_owned() + &fs::read_to_string(out.path().join("onnx.rs")).expect("written");
    let path = root.join("src/onnx/proto.rs");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, &generated).expect("the source folder can be written");
    }
    assert!(
        fs::read_to_string(&path).expect("checked in") == generated,
        "src/onnx/proto.rs is not what proto/onnx.proto gives; see its header"
    );
}
