use crate::{
    http::{call, request},
    support::{matrix, name, ready, version},
};
use ml_core::{ErrorKind, Tensors};
use ml_serve::{
    Request, Server,
    http::{client, router},
};
use proptest::{
    array::uniform2, collection::vec, num, option, prelude::Strategy, prop_assert, prop_assert_eq, proptest,
    sample::select, test_runner::TestCaseError,
};

const OUTPUT: &str = r#"{"name":"y","shape":[2,1],"datatype":"FP32","data":[[1.5],["NaN"]]}"#;

#[test]
fn data_may_be_nested_and_what_is_not_needed_is_read_over() {
    for rest in ["", r#","id":null"#, r#","parameters":{"took_ms":3},"id":"""#] {
        let answer = format!(r#"{{"outputs":[{OUTPUT}],"model_version":"7","model_name":"scale"{rest}}}"#);
        let response = client::read(&answer).expect(&answer);
        assert_eq!((response.model, response.version, response.id.as_str()), (name("scale"), version(7), ""));
        let y = response.outputs.require("y").expect("there");
        assert_eq!(y.shape(), [2, 1]);
        let values = y.values::<f32>().expect("singles");
        assert!(values[0] == 1.5 && values[1].is_nan(), "{values:?}");
    }
}

#[test]
fn what_is_no_answer_of_the_protocol_is_corrupt() {
    let answer = |name: &str, version: &str, outputs: &str| {
        format!(r#"{{"model_name":{name},"model_version":{version},"id":"a","outputs":{outputs}}}"#)
    };
    let with = |output: &str| answer(r#""scale""#, r#""1""#, &format!("[{output}]"));
    for body in [
        String::new(),
        "<html>bad gateway</html>".into(),
        "[]".into(),
        r#"{"error":"the model is not served (model: scale)"}"#.into(),
        format!(r#"{{"model_name":"scale","outputs":[{OUTPUT}]}}"#),
        r#"{"model_name":"scale","model_version":"1"}"#.into(),
        answer(r#""a/b""#, r#""1""#, "[]"),
        answer(r#""scale""#, r#""0""#, "[]"),
        answer(r#""scale""#, r#""latest""#, "[]"),
        answer(r#""scale""#, "1", "[]"),
        answer(r#""scale""#, r#""1""#, "null"),
        with(r#"{"name":"y","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}"#),
        with(r#"{"name":"y","shape":[2],"datatype":"FP32","data":[1]}"#),
        with(r#"{"name":"y","shape":[1],"datatype":"FP8","data":[1]}"#),
        with(r#"{"name":"y","shape":[1],"datatype":"INT8","data":[128]}"#),
        with(r#"{"name":"y","shape":[18446744073709551615,2],"datatype":"FP32","data":[1]}"#),
        with(&format!(r#"{{"name":"y","shape":[1],"datatype":"FP32","data":{}1"#, "[".repeat(100_000))),
        with(&[OUTPUT, OUTPUT].join(",")),
    ] {
        let error = client::read(&body).expect_err(&body);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{body}");
    }
}

fn questions() -> impl Strategy<Value = Request> {
    let rows = vec(uniform2(num::f32::ANY), 0..5);
    let outputs = select(vec![vec![], vec!["y"], vec!["factor"], vec!["y", "factor"], vec!["factor", "y"]]);
    (rows, option::of(select(vec![1, 3])), option::of(".{0,20}"), outputs).prop_map(|(rows, asked, id, outputs)| {
        let inputs = Tensors::new().with("x", matrix(&rows)).expect("one name");
        let mut question = Request::new(name("scale"), inputs).with_outputs(outputs);
        question.version = asked.map(version);
        question.id = id;
        question
    })
}

/// Numbers by their bits, so that -0 is not 0; all NaN are one, since JSON knows but one.
fn bits(outputs: &Tensors) -> Vec<(&str, &[usize], Vec<u32>)> {
    let bits = |value: &f32| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() };
    let outputs = outputs.iter();
    outputs
        .map(|(name, tensor)| {
            (name, tensor.shape(), tensor.values::<f32>().expect("singles").iter().map(bits).collect())
        })
        .collect()
}

proptest! {
    #[test]
    fn an_answer_over_the_wire_is_the_answer_in_process(question in questions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let server = ready().await;
            let expected = server.predict(question.clone()).await.expect("valid");
            let body = client::body(&question).expect("singles and text");
            let (status, _, answer) = call(&router(server), request("POST", &client::path(&question), body)).await;
            prop_assert!(status == 200, "{} {}", status, answer);
            let read = client::read(&answer).expect("an answer");
            prop_assert_eq!((&read.model, read.version), (&expected.model, expected.version));
            prop_assert!(question.id.is_none_or(|id| id == read.id), "{}", answer);
            prop_assert_eq!(bits(&read.outputs), bits(&expected.outputs));
            Ok::<(), TestCaseError>(())
        })?;
    }
}
