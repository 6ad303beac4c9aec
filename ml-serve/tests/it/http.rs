use crate::support::{hold, ready, source};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use ml_serve::{
    ModelServer, Server,
    http::{HttpOptions, router, router_with},
};
use std::sync::Arc;
use tower::ServiceExt;

pub(crate) const X: &str = r#"{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}"#;
const INFER: &str = "/v2/models/scale/infer";

pub(crate) async fn call(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = router.clone().oneshot(request).await.expect("a router does not fail");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("whole").to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.into()).expect("text"))
}

pub(crate) fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body.into()).expect("valid")
}

async fn get(router: &Router, path: &str) -> String {
    let (status, headers, body) = call(router, request("GET", path, "")).await;
    assert_eq!(headers[header::CONTENT_TYPE], "application/json", "{path}");
    format!("{} {body}", status.as_u16())
}

async fn infer(router: &Router, body: impl Into<Body>) -> String {
    let (status, headers, body) = call(router, request("POST", INFER, body)).await;
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    format!("{} {body}", status.as_u16())
}

#[tokio::test]
async fn health_and_metadata_are_those_of_the_protocol() {
    let router = router(ready().await);
    let mut told = String::new();
    for path in [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2",
        "/v2/models/scale",
        "/v2/models/scale/versions/3",
        "/v2/models/latin1",
        "/v2/models/scale/ready",
        "/v2/models/scale/versions/1/ready",
    ] {
        told += &format!("{path}\n  {}\n", get(&router, path).await);
    }
    insta::assert_snapshot!(told.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

#[tokio::test]
async fn inference_answers_in_the_form_of_the_protocol() {
    let router = router(ready().await);
    let mut told = String::new();
    for (path, body) in [
        (INFER, format!(r#"{{"id":"a","inputs":[{X}]}}"#)),
        ("/v2/models/scale/versions/3/infer", format!(r#"{{"id":"b","inputs":[{X}]}}"#)),
        (INFER, format!(r#"{{"id":"c","inputs":[{X}],"outputs":[{{"name":"factor"}},{{"name":"y"}}]}}"#)),
        (INFER, format!(r#"{{"id":"d","inputs":[{X}],"outputs":[{{"name":"factor"}}]}}"#)),
        (
            INFER,
            format!(r#"{{"id":"e","parameters":{{"binary_data_output":true,"priority":[1,{{}}]}},"inputs":[{X}]}}"#),
        ),
        (
            INFER,
            format!(r#"{{"id":"f","outputs":[{{"name":"y","parameters":{{"binary_data":false}}}}],"inputs":[{X}]}}"#),
        ),
        (
            INFER,
            r#"{"id":"g","inputs":[{"data":[[1,2],["NaN","-Infinity"]],"datatype":"FP32","shape":[2,2],"name":"x"}]}"#
                .into(),
        ),
        (INFER, r#"{"id":"h","inputs":[{"name":"x","shape":[0,2],"datatype":"FP32","data":[]}]}"#.into()),
        (
            "/v2/models/latin1/infer",
            r#"{"id":"i","inputs":[{"name":"text","shape":[2],"datatype":"BYTES","data":["late","\u0041\n"]}]}"#.into(),
        ),
    ] {
        let (status, _, answer) = call(&router, request("POST", path, body.clone())).await;
        told += &format!("{path} {body}\n  {} {answer}\n", status.as_u16());
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn a_request_without_an_id_gets_one() {
    let router = router(ready().await);
    let body = format!(r#"{{"inputs":[{X}]}}"#);
    let (_, _, answer) = call(&router, request("POST", INFER, body)).await;
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("json");
    assert_eq!(answer["id"].as_str().expect("text").len(), 32);
}

/// Every body that cannot be right, with what is said about it.
#[tokio::test]
async fn wrong_bodies_are_answered_with_400_and_a_reason() {
    let router = router(ready().await);
    let x = |shape: &str, datatype: &str, data: &str| {
        format!(r#"{{"inputs":[{{"name":"x","shape":{shape},"datatype":"{datatype}","data":{data}}}]}}"#).into_bytes()
    };
    let with = |more: &str| format!(r#"{{"inputs":[{X}]{more}}}"#).into_bytes();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let many = |item: &str| vec![item; 1_000_000 / item.len()].join(",");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("not json", b"x=1&y=2".to_vec()),
        ("cut off", with("").split_last().expect("not empty").1.to_vec()),
        ("two documents", [with(""), with("")].concat()),
        ("invalid UTF-8", b"{\"id\":\"\xff\"}".to_vec()),
        ("lone surrogate", with(r#","id":"\ud800""#)),
        ("an array", b"[]".to_vec()),
        ("no inputs", b"{}".to_vec()),
        ("inputs null", br#"{"inputs":null}"#.to_vec()),
        ("no tensors", br#"{"inputs":[]}"#.to_vec()),
        ("no name", br#"{"inputs":[{"shape":[1],"datatype":"FP32","data":[1]}]}"#.to_vec()),
        ("no data", br#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32"}]}"#.to_vec()),
        (
            "binary data",
            br#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}]}"#
                .to_vec(),
        ),
        ("unknown input", br#"{"inputs":[{"name":"z","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#.to_vec()),
        ("an input twice", format!(r#"{{"inputs":[{X},{X}]}}"#).into_bytes()),
        ("many inputs", format!(r#"{{"inputs":[{}]}}"#, many(X)).into_bytes()),
        ("a key twice", with(r#","inputs":[]"#)),
        ("id is a number", with(r#","id":1"#)),
        ("long id", with(&format!(r#","id":"{}""#, "x".repeat(257)))),
        ("wrong datatype", x("[1,2]", "INT64", "[1,2]")),
        ("unknown datatype", x("[1,2]", "FP8", "[1,2]")),
        ("lower case datatype", x("[1,2]", "fp32", "[1,2]")),
        ("wrong shape", x("[1,3]", "FP32", "[1,2,3]")),
        ("wrong rank", x("[2]", "FP32", "[1,2]")),
        ("too few elements", x("[2,2]", "FP32", "[1,2]")),
        ("too many elements", x("[1,2]", "FP32", "[1,2,3]")),
        ("negative dimension", x("[-1,2]", "FP32", "[1,2]")),
        ("shape is not whole", x("[1.5,2]", "FP32", "[1,2]")),
        ("shape overflows", x("[4294967296,4294967296]", "FP32", "[1,2]")),
        ("shape claims petabytes", x("[1000000000000000,2]", "FP32", "[1,2]")),
        ("shape is text", x("\"1,2\"", "FP32", "[1,2]")),
        ("text for numbers", x("[1,2]", "FP32", r#"["1","2"]"#)),
        ("null for a number", x("[1,2]", "FP32", "[1,null]")),
        ("bare NaN", x("[1,2]", "FP32", "[1,NaN]")),
        ("number out of range", x("[1,2]", "FP32", "[1,1e999]")),
        ("bare number", x("[1,2]", "FP32", "1")),
        ("deep data", x("[1,2]", "FP32", &deep)),
        ("deep parameters", with(&format!(r#","parameters":{deep},"outputs":[{{"name":"z"}}]"#))),
        ("deep inputs", format!(r#"{{"inputs":{deep}}}"#).into_bytes()),
        ("unknown output", with(r#","outputs":[{"name":"z"}]"#)),
        ("an output twice", with(r#","outputs":[{"name":"y"},{"name":"y"}]"#)),
        ("many outputs", with(&format!(r#","outputs":[{}]"#, many(r#"{"name":"y"}"#)))),
        ("output without name", with(r#","outputs":[{}]"#)),
        ("classification", with(r#","outputs":[{"name":"y","parameters":{"classification":3}}]"#)),
        ("shared memory", with(r#","outputs":[{"name":"y","parameters":{"shared_memory_region":"r"}}]"#)),
    ];
    let mut told = String::new();
    for (name, body) in cases {
        let answer = infer(&router, body).await;
        assert!(answer.starts_with(r#"400 {"error":""#), "{name}: {answer}");
        told += &format!("{name}\n  {answer}\n");
    }
    insta::assert_snapshot!(told);
    assert!(infer(&router, format!(r#"{{"inputs":[{X}]}}"#)).await.starts_with("200 "));
}

#[tokio::test]
async fn inputs_that_do_not_belong_together_are_refused() {
    let router = router(ready().await);
    let column = |name: &str, data: &str| {
        let rows = data.split(',').count();
        format!(r#"{{"name":"{name}","shape":[{rows},1],"datatype":"FP32","data":[{data}]}}"#)
    };
    let mut told = String::new();
    for (name, inputs) in [
        ("right", [column("a", "1,2"), column("b", "3,4")]),
        ("other order", [column("b", "3,4"), column("a", "1,2")]),
        ("twice", [column("a", "1,2"), column("a", "3,4")]),
        ("unknown", [column("a", "1,2"), column("c", "3,4")]),
        ("rows differ", [column("a", "1,2"), column("b", "3")]),
    ] {
        let body = format!(r#"{{"id":"{name}","inputs":[{}]}}"#, inputs.join(","));
        let (status, _, answer) = call(&router, request("POST", "/v2/models/sum/infer", body)).await;
        told += &format!("{name}\n  {} {answer}\n", status.as_u16());
    }
    let alone = format!(r#"{{"inputs":[{}]}}"#, column("a", "1"));
    let (status, _, answer) = call(&router, request("POST", "/v2/models/sum/infer", alone)).await;
    told += &format!("missing\n  {} {answer}\n", status.as_u16());
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn faults_beside_the_body_are_json_too() {
    let options = HttpOptions::default().with_max_body_bytes(200).with_server_name("airport");
    let router = router_with(ready().await, options);
    let mut told = String::new();
    let body = format!(r#"{{"id":"a","inputs":[{X}]}}"#);
    let long = format!(r#"{{"id":"{}","inputs":[{X}]}}"#, "x".repeat(200));
    for (method, path, headers, body) in [
        ("GET", "/v2/", vec![], ""),
        ("GET", "/v2/nothing", vec![], ""),
        ("GET", "/v2/models", vec![], ""),
        ("GET", "/v2/models/scale/nothing", vec![], ""),
        ("POST", "/v2/repository/index", vec![], "{}"),
        ("GET", "/v2/models/none", vec![], ""),
        ("GET", "/v2/models/none/ready", vec![], ""),
        ("POST", "/v2/models/none/infer", vec![], &body),
        ("GET", "/v2/models/scale/versions/2", vec![], ""),
        ("POST", "/v2/models/scale/versions/2/infer", vec![], &body),
        ("GET", "/v2/models/scale/versions/0", vec![], ""),
        ("GET", "/v2/models/scale/versions/champion/ready", vec![], ""),
        ("GET", "/v2/models/..%2F..%2Fetc%2Fpasswd", vec![], ""),
        ("GET", "/v2/models/%ff", vec![], ""),
        ("GET", "/v2/models/a%00b/ready", vec![], ""),
        ("GET", INFER, vec![], ""),
        ("DELETE", "/v2/models/scale", vec![], ""),
        ("POST", "/v2/health/live", vec![], ""),
        ("POST", INFER, vec![], &long),
        ("POST", INFER, vec![("content-length", "18446744073709551615")], &body),
        ("POST", INFER, vec![("content-type", "application/x-www-form-urlencoded")], &body),
        ("POST", INFER, vec![("content-encoding", "identity")], &body),
        ("POST", INFER, vec![("content-encoding", "gzip")], &body),
        ("POST", INFER, vec![("inference-header-content-length", "30")], &body),
        ("POST", INFER, vec![("inference-header-content-length", "-1")], &body),
    ] {
        let mut builder = Request::builder().method(method).uri(path);
        for (name, value) in &headers {
            builder = builder.header(*name, *value);
        }
        let (status, answered, answer) = call(&router, builder.body(Body::from(body.to_owned())).expect("valid")).await;
        assert_eq!(answered[header::CONTENT_TYPE], "application/json", "{method} {path}");
        let allow = answered.get(header::ALLOW).map(|allow| format!(" (allow: {})", allow.to_str().expect("text")));
        told += &format!("{method} {path} {headers:?}\n  {} {answer}{}\n", status.as_u16(), allow.unwrap_or_default());
    }
    insta::assert_snapshot!(told);
    assert!(get(&router, "/v2").await.contains(r#""name":"airport""#));
}

#[tokio::test]
async fn a_body_in_tiny_chunks_is_read_up_to_the_limit() {
    let router = router_with(ready().await, HttpOptions::default().with_max_body_bytes(100_000));
    let chunks = |text: String| {
        let bytes = text.into_bytes().into_iter().map(|byte| Ok::<_, std::io::Error>(vec![byte]));
        Body::from_stream(futures_util::stream::iter(bytes))
    };
    let body = |padding: usize| format!(r#"{{"id":"a","inputs":[{X}]{}}}"#, " ".repeat(padding));
    assert!(infer(&router, chunks(body(90_000))).await.starts_with("200 "));
    assert_eq!(
        infer(&router, chunks(body(100_000))).await,
        r#"413 {"error":"the body is over the limit of 100000 bytes"}"#
    );
    let broken = futures_util::stream::iter([Ok("{"), Err(std::io::Error::other("the client is gone"))]);
    assert_eq!(infer(&router, Body::from_stream(broken)).await, r#"400 {"error":"the body ended before its end"}"#);
}

#[tokio::test]
async fn a_server_that_starts_drains_or_is_closed_says_so() {
    let server = crate::support::builder(&source()).serve("scale@champion".parse().expect("a reference"));
    let server = Arc::new(server.build().expect("valid"));
    let router = router(Arc::<ModelServer>::clone(&server));
    let mut told = String::new();
    let paths = ["/v2/health/live", "/v2/health/ready", "/v2/models/scale/ready"];
    for state in ["starting", "ready", "draining", "closed"] {
        match state {
            "ready" => server.load().await.expect("published"),
            "draining" => server.drain(),
            "closed" => server.close().await,
            _ => {}
        }
        told += &format!("{state}\n");
        let calls = paths.map(|path| request("GET", path, ""));
        let infer = request("POST", INFER, format!(r#"{{"id":"a","inputs":[{X}],"outputs":[{{"name":"y"}}]}}"#));
        for request in calls.into_iter().chain([infer]) {
            let line = format!("  {} {}", request.method(), request.uri());
            let (status, headers, answer) = call(&router, request).await;
            assert_eq!(headers.contains_key(header::RETRY_AFTER), status == StatusCode::SERVICE_UNAVAILABLE);
            told += &format!("{line}\n    {} {answer}\n", status.as_u16());
        }
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn faults_of_the_server_tell_nothing_but_an_id() {
    #[derive(Debug)]
    struct Broken;
    impl ml_core::port::RequestGuard for Broken {
        fn inspect(&self, _: &ml_core::port::RequestMeta, _: &ml_core::Tensors) -> ml_core::port::Verdict {
            panic!("secret.internal:5432 refused")
        }
    }
    let server = crate::support::builder(&source()).guard(Arc::new(Broken));
    let server = server.serve("scale@champion".parse().expect("a reference")).build().expect("valid");
    server.load().await.expect("published");
    let answer = infer(&router(Arc::new(server)), format!(r#"{{"inputs":[{X}]}}"#)).await;
    let id = answer.strip_prefix(r#"500 {"error":"internal error "#).and_then(|rest| rest.strip_suffix(r#""}"#));
    assert!(id.is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())), "{answer}");
}

#[tokio::test]
async fn refused_and_surplus_requests_have_their_own_status() {
    let (guard, mut holder) = hold();
    let server = crate::support::builder(&source()).guard(guard).max_in_flight(std::num::NonZeroU16::MIN);
    let server = server.serve("scale@champion".parse().expect("a reference")).build().expect("valid");
    server.load().await.expect("published");
    let router = router(Arc::new(server));
    let body = format!(r#"{{"inputs":[{X}]}}"#);
    let first = tokio::spawn({
        let (router, body) = (router.clone(), body.clone());
        async move { infer(&router, body).await }
    });
    holder.arrival().await;
    let (status, headers, answer) = call(&router, request("POST", INFER, body)).await;
    assert_eq!((status, headers[header::RETRY_AFTER].as_bytes()), (StatusCode::TOO_MANY_REQUESTS, &b"1"[..]));
    assert_eq!(answer, r#"{"error":"too many requests are under way (max_in_flight: 1)"}"#);
    drop(holder);
    assert!(first.await.expect("no panic").starts_with("200 "));
}

#[tokio::test]
async fn what_the_model_refuses_is_a_fault_of_the_client() {
    let router = router(ready().await);
    let body = r#"{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["東京"]}]}"#;
    let (status, _, answer) = call(&router, request("POST", "/v2/models/latin1/infer", body)).await;
    assert_eq!((status.as_u16(), answer.as_str()), (400, r#"{"error":"not in Latin-1"}"#));
}

#[tokio::test]
async fn outputs_that_json_cannot_carry_are_refused_clearly() {
    let router = router(ready().await);
    let body = r#"{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":["Zürich"]}]}"#;
    let (status, _, answer) = call(&router, request("POST", "/v2/models/latin1/infer", body)).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(
        answer,
        r#"{"error":"the outputs cannot be written as JSON (reason: JSON cannot carry bytes that are not UTF-8)"}"#
    );
}

#[tokio::test]
async fn the_router_leaves_the_rest_of_the_host_alone() {
    let host = Router::new().route("/", axum::routing::get(async || "home")).fallback(async || "not here");
    let host = host.merge(router(ready().await));
    for (path, expected) in [("/", "home"), ("/models/scale", "not here"), ("/v2/health/live", r#"{"live":true}"#)] {
        assert_eq!(call(&host, request("GET", path, "")).await.2, expected);
    }
    let (status, _, answer) = call(&host, request(Method::GET.as_str(), "/v2/no", "")).await;
    assert_eq!((status.as_u16(), answer.as_str()), (404, r#"{"error":"no such path (path: /v2/no)"}"#));
}
