use crate::support::ready;
use ml_serve::{ModelServer, Server, http::router};
use std::{net::SocketAddr, process::Command, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Serves on a free port of the loopback until the test ends.
async fn listen() -> (Arc<ModelServer>, SocketAddr) {
    let server = ready().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let router = router(Arc::<ModelServer>::clone(&server));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (server, address)
}

#[tokio::test]
async fn a_client_is_served_over_tcp_until_the_server_closes() {
    let (server, address) = listen().await;
    let client = reqwest::Client::new();
    let infer = || {
        let body = serde_json::json!({
            "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[0.5, -3]]}],
            "outputs": [{"name": "y"}],
        });
        client.post(format!("http://{address}/v2/models/scale/versions/3/infer")).json(&body).send()
    };
    let answer: serde_json::Value = infer().await.expect("answered").json().await.expect("json");
    assert_eq!(
        answer["outputs"],
        serde_json::json!([{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1.5, -9.0]}])
    );

    let ready = || client.get(format!("http://{address}/v2/health/ready")).send();
    assert_eq!(ready().await.expect("answered").status(), 200);
    server.drain();
    assert_eq!(ready().await.expect("answered").status(), 503);
    assert_eq!(infer().await.expect("answered").status(), 200);
    server.close().await;
    let refused = infer().await.expect("answered");
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
}

/// What no client library would send.
#[tokio::test]
async fn broken_http_is_refused_and_the_server_lives() {
    let (_server, address) = listen().await;
    let head = "POST /v2/models/scale/infer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    for (sent, expected) in [
        (format!("{head}content-length: 9\r\n\r\n{{\"inputs\""), "400"),
        (format!("{head}content-length: -1\r\n\r\n"), "400"),
        (format!("{head}content-length: 99999999\r\n\r\n"), "413"),
        (format!("{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n"), "400"),
        (format!("{head}inference-header-content-length: 2\r\ncontent-length: 2\r\n\r\n{{}}"), "400"),
        ("GET /v2/health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".into(), "200"),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("listening");
        stream.write_all(sent.as_bytes()).await.expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{sent}\n{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_client_is_served() {
    let python = std::env::var_os("ML_PLATFORM_PYTHON")
        .expect("ML_PLATFORM_PYTHON names no Python with tritonclient: run `cargo xtask test`, which sets one up");
    let (_server, address) = listen().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/tritonclient_http.py");
    let run = move || Command::new(python).arg(script).arg(address.to_string()).output();
    let output = tokio::task::spawn_blocking(run).await.expect("no panic").expect("python starts");
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}\n{}", told[0], told[1]);
    assert_eq!(told[0].trim(), "every call was answered as expected");
}
