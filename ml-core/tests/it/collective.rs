use ml_core::collective::Solo;

mod solo {
    use super::*;
    ml_core::collective_conformance!(async { (Solo, ()) });
}
