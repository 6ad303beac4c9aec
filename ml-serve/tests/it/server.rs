use crate::support;
use ml_serve::Server;
use std::sync::Arc;

mod model_server {
    use super::*;
    ml_serve::server_conformance!(async { (support::ready().await, ()) });
}

mod erased {
    use super::*;
    ml_serve::server_conformance!(async { (support::ready().await as Arc<dyn Server>, ()) });
}
