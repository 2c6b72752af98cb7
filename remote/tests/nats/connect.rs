//! The connection, the settings, and the creation of the storage.

use std::time::Duration;

use bytes::Bytes;
use reorder_remote::{
    Channel, Link as _, LinkError, MessageId, NatsBuilder, NatsError, NatsLink, NatsOperation,
};
use tokio::task::JoinSet;

use crate::server::Servers;

#[tokio::test]
async fn links_with_other_settings_may_create_the_storage_at_once() {
    let Some(servers) = Servers::start(1) else { return };
    for job in 0..5 {
        let mut links = JoinSet::new();
        for most in 100..106u64 {
            let (url, name) = (servers.url(), format!("job{job}"));
            let builder = NatsLink::builder(name).max_messages(most);
            links.spawn(async move { builder.connect(&url).await.map(drop) });
        }
        assert!(links.join_all().await.iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn a_link_that_waits_for_its_owner_creates_nothing() {
    let Some(servers) = Servers::start(1) else { return };
    let (channel, id) = (Channel::Results, MessageId { sender: 1, number: 1 });
    let worker = || NatsLink::builder("job").wait_for_owner();
    for _ in 0..2 {
        let error = worker().connect(&servers.url()).await.unwrap_err();
        assert!(matches!(error, NatsError::Refused { operation: NatsOperation::Open, .. }));
    }
    let waiting = worker().open_within(Duration::from_secs(86_400));
    let url = servers.url();
    let (owner, worker) = tokio::join!(servers.link("job"), waiting.connect(&url));
    let worker = worker.unwrap();
    worker.publish(channel, id, Bytes::new()).await.unwrap();
    owner.remove().await.unwrap();
    // The first operation finds no stream, and the next ones look for it.
    for _ in 0..3 {
        worker.publish(channel, id, Bytes::new()).await.unwrap_err();
    }
    owner.load().await.unwrap();
    worker.publish(channel, id, Bytes::new()).await.unwrap();
}

#[tokio::test]
async fn settings_out_of_range_become_the_nearest_ones() {
    let Some(servers) = Servers::start(1) else { return };
    let least = |builder: NatsBuilder| {
        let builder = builder.replicas(0).max_bytes(0).max_messages(0);
        builder.acknowledgement_wait(Duration::ZERO).duplicate_window(Duration::ZERO)
    };
    let most = |builder: NatsBuilder| {
        let builder = builder.max_bytes(u64::MAX).max_messages(u64::MAX).max_message(u32::MAX);
        let builder = builder.time_limit(Duration::MAX).open_within(Duration::MAX);
        builder.acknowledgement_wait(Duration::MAX).duplicate_window(Duration::MAX)
    };
    let id = MessageId { sender: 1, number: 1 };
    let link = least(NatsLink::builder("least")).connect(&servers.url()).await.unwrap();
    // The server takes a limit of 0 for none.
    let error = link.publish(Channel::Tasks, id, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, LinkError::Unavailable(_)), "{error}");
    let link = most(NatsLink::builder("most")).connect(&servers.url()).await.unwrap();
    link.publish(Channel::Tasks, id, Bytes::new()).await.unwrap();
    let link = NatsLink::builder("small").max_message(0).connect(&servers.url()).await.unwrap();
    let error = link.publish(Channel::Tasks, id, vec![0].into()).await.unwrap_err();
    assert!(matches!(error, LinkError::TooLarge { given: 1, allowed: 0 }), "{error}");
}

/// Connects, and tries again for longer than a test may take.
async fn connect_patiently(url: &str) -> Result<NatsLink, NatsError> {
    NatsLink::builder("job").open_within(Duration::from_secs(86_400)).connect(url).await
}

#[tokio::test]
async fn refused_credentials_and_malformed_urls_fail_at_once() {
    let Some(servers) = Servers::start_with(1, &["--user", "user", "--pass", "word"]) else {
        return;
    };
    for url in [&servers.url()[..], "http://127.0.0.1", "nats://a b"] {
        let error = connect_patiently(url).await.unwrap_err();
        assert!(matches!(error, NatsError::Refused { operation: NatsOperation::Connect, .. }));
    }
}

#[tokio::test]
async fn a_url_may_contain_credentials() {
    for (arguments, credentials) in [
        (&["--user", "us%er", "--pass", "wo@rd+1/"][..], "us%25er:wo%40rd+1%2F@"),
        (&["--auth", "secret"], "secret@"),
    ] {
        let Some(servers) = Servers::start_with(1, arguments) else { return };
        let url = servers.url().replace("//", &format!("//{credentials}"));
        connect_patiently(&url).await.unwrap();
        // The credentials also apply to the other servers of the list.
        connect_patiently(&format!("nats://127.0.0.1:1,{url}")).await.unwrap();
    }
}
