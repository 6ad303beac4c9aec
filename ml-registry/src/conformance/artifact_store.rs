//! The contract of [`ArtifactStore`].

use crate::{ArtifactStore, ArtifactStoreExt as _};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::join_all, stream};
use ml_core::{Error, ErrorKind, Result, Seed, id::Digest};
use std::sync::Arc;

/// Clause 1.
pub async fn the_digest_is_the_sha256(subject: impl ArtifactStore) {
    // The vectors of FIPS 180-2, appendix B.
    for (bytes, digest) in [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        assert_eq!(subject.put_bytes(bytes).await.expect("room").to_string(), digest);
        for cut in 1..=3 {
            let chunks: Vec<Result<Bytes>> =
                bytes.as_bytes().chunks(cut).flat_map(|chunk| [Ok(chunk.to_vec().into()), Ok(Bytes::new())]).collect();
            assert_eq!(subject.put(stream::iter(chunks).boxed()).await.expect("room").to_string(), digest);
        }
    }
}

/// Clause 2.
pub async fn what_was_put_comes_back(subject: impl ArtifactStore) {
    for size in [0, 1, 255, 256 * 1024, 256 * 1024 + 1, 10_000_000] {
        let bytes = random(size);
        let chunks: Vec<Result<Bytes>> = bytes.chunks(100_003).map(|chunk| Ok(bytes.slice_ref(chunk))).collect();
        let digest = subject.put(stream::iter(chunks).boxed()).await.expect("room");
        assert_eq!(digest, Digest::of(&bytes));
        assert!(subject.get_bytes(&digest, size as u64).await.expect("it is there") == bytes, "{size} bytes");
        if size > 0 {
            let error = subject.get_bytes(&digest, size as u64 - 1).await.expect_err("over the limit");
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
        }
    }
}

/// Clause 3.
pub async fn the_same_bytes_are_one_artifact(subject: impl ArtifactStore) {
    let bytes = random(100_000);
    let subject = Arc::new(subject);
    let tasks = (0..20).map(|_| {
        let (subject, bytes) = (subject.clone(), bytes.clone());
        tokio::spawn(async move { subject.put_bytes(bytes).await })
    });
    for digest in join_all(tasks).await {
        assert_eq!(digest.expect("no panic").expect("room"), Digest::of(&bytes));
    }
    assert!(subject.get_bytes(&Digest::of(&bytes), 100_000).await.expect("it is there") == bytes);
}

/// Clause 4.
pub async fn what_is_unknown_is_not_found(subject: impl ArtifactStore) {
    let known = subject.put_bytes("known").await.expect("room");
    assert!(subject.contains(&known).await.expect("readable"));
    let unknown = Digest::of("unknown");
    assert!(!subject.contains(&unknown).await.expect("readable"));
    assert_eq!(subject.get_bytes(&unknown, 10).await.expect_err("unknown").kind(), ErrorKind::NotFound);
}

/// Clause 5.
pub async fn a_failed_stream_stores_nothing(subject: impl ArtifactStore) {
    let chunks = [Ok(Bytes::from("half")), Err(Error::timeout("the sender went away"))];
    let error = subject.put(stream::iter(chunks).boxed()).await.expect_err("the stream failed");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Timeout, "the sender went away"));
    assert!(!subject.contains(&Digest::of("half")).await.expect("readable"));
    assert!(!subject.contains(&Digest::of("")).await.expect("readable"));
}

/// Clause 6.
pub async fn a_dropped_put_stores_nothing(subject: impl ArtifactStore) {
    let (asked, has_asked) = tokio::sync::oneshot::channel();
    let endless = stream::once(async { Ok(Bytes::from("half")) })
        .chain(stream::once(async move { asked.send(()) }).filter_map(async |_| None))
        .chain(stream::pending());
    let mut put = subject.put(endless.boxed()).fuse();
    // The store has taken the first chunk when it asks for the second.
    futures_util::future::select(&mut put, has_asked).await;
    drop(put);
    assert!(!subject.contains(&Digest::of("half")).await.expect("readable"));
    let whole = subject.put_bytes("half").await.expect("room");
    assert_eq!(subject.get_bytes(&whole, 4).await.expect("it is there"), "half");
}

fn random(size: usize) -> Bytes {
    let mut numbers = Seed::new(size as u64).stream("artifact");
    let mut bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| numbers.next_u64().to_le_bytes()).collect();
    bytes.truncate(size);
    bytes.into()
}

/// Runs the suite of [`ArtifactStore`](crate::ArtifactStore) over a backend.
#[macro_export]
macro_rules! artifact_store_conformance {
    ($factory:expr $(, known_failures: [$($known:expr),* $(,)?])?) => {
        ::ml_core::conformance_tests! {
            $crate::conformance::artifact_store, $factory, [$($($known),*)?];
            the_digest_is_the_sha256,
            what_was_put_comes_back,
            the_same_bytes_are_one_artifact,
            what_is_unknown_is_not_found,
            a_failed_stream_stores_nothing,
            a_dropped_put_stores_nothing,
        }
    };
}
