use crate::{
    http::{X, call, request},
    support::ready,
};
use ml_serve::http::router;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_assert, prop_oneof, proptest,
    test_runner::TestCaseError,
};

/// Bodies close to a right one, with parts left out, doubled, or put in place of others.
fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(r#"{"inputs":["#.to_owned()),
        Just(X.to_owned()),
        Just(r#"{"name":"x","shape":[0,2],"datatype":"FP32","data":[]}"#.to_owned()),
        Just(r#"{"name":"x","shape":"#.to_owned()),
        Just(r#","datatype":"FP32","data":"#.to_owned()),
        Just(r#","datatype":"BYTES","data":["a"]"#.to_owned()),
        Just(r#"],"outputs":[{"name":"y"}"#.to_owned()),
        Just("]}".to_owned()),
        Just("}".to_owned()),
        Just(",".to_owned()),
        any::<i64>().prop_map(|n| format!("[{n},2]")),
        any::<f64>().prop_map(|f| format!("[{f},{f}]")),
        ".{0,8}",
    ];
    vec(part, 0..10).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_body_is_a_fault_of_the_server(body in prop_oneof![vec(any::<u8>(), 0..512), nearly_a_request()]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (status, _, answer) = call(&router(ready().await), request("POST", "/v2/models/scale/infer", body)).await;
            prop_assert!(status == 200 || (status == 400 && answer.starts_with(r#"{"error":"#)), "{} {}", status, answer);
            Ok::<(), TestCaseError>(())
        })?;
    }

    #[test]
    fn no_path_is_a_fault_of_the_server(path in "/v2(/(models|versions|infer|ready|scale|[%.a-z0-9~-]{0,6})){0,6}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (status, _, answer) = call(&router(ready().await), request("GET", &path, "")).await;
            let fault = [400, 404, 405].contains(&status.as_u16()) && answer.starts_with(r#"{"error":"#);
            prop_assert!(status == 200 || fault, "{} {}", status, answer);
            Ok::<(), TestCaseError>(())
        })?;
    }
}
