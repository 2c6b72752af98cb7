//! Three servers that keep replicas.

use std::time::Duration;

use bytes::Bytes;
use reorder_remote::{Acknowledgement, Channel, Link as _, LinkError, MessageId, NatsLink};

use crate::server::{Servers, settings};

/// Tries an operation until it succeeds.
async fn at_last<T>(mut operation: impl AsyncFnMut() -> Result<T, LinkError>) -> T {
    loop {
        match operation().await {
            Ok(value) => return value,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Replaces the entry, and returns its revision. A try that failed may have stored it.
async fn store(link: &NatsLink, value: Bytes, expected: Option<u64>) -> Option<u64> {
    let stored = at_last(async || link.store(value.clone(), expected).await).await;
    if stored.is_some() {
        return stored;
    }
    let found = at_last(async || link.load().await).await?;
    assert_eq!(found.value, value, "the entry has changed, and not by this program");
    Some(found.revision)
}

#[tokio::test]
async fn each_of_three_servers_may_be_killed() {
    let Some(mut servers) = Servers::start(3) else { return };
    let settings = settings("job").replicas(3);
    let link: NatsLink = settings.connect(&servers.url()).await.unwrap();
    let mut revision = store(&link, Bytes::new(), None).await;
    for node in 0..3 {
        servers.kill(node);
        let number = node as u64;
        let id = MessageId { sender: 1, number };
        let body = Bytes::from(vec![node as u8]);
        at_last(async || link.publish(Channel::Tasks, id, body.clone()).await).await;
        let message = loop {
            let messages = at_last(async || link.receive(Channel::Tasks, 1).await).await;
            if let Some(message) = messages.into_iter().find(|message| message.body == body) {
                break message;
            }
        };
        link.acknowledge(&message.receipt, Acknowledgement::Done).await.unwrap();
        // The revision continues, so no replica has lost the entry.
        let found = at_last(async || link.load().await).await;
        assert_eq!(found.map(|entry| entry.revision), revision);
        let next = store(&link, Bytes::from(vec![node as u8]), revision).await;
        assert!(next > revision);
        revision = next;
        servers.restart(node);
    }
}

#[tokio::test]
async fn a_late_receipt_does_not_harm_the_next_job() {
    let Some(servers) = Servers::start(3) else { return };
    let settings = settings("job").replicas(3);
    let link: NatsLink = settings.connect(&servers.url()).await.unwrap();
    let mut receipts = Vec::new();
    for number in 0..5 {
        let (id, body) = (MessageId { sender: 1, number }, Bytes::from(vec![0]));
        at_last(async || link.publish(Channel::Tasks, id, body.clone()).await).await;
    }
    while receipts.len() < 5 {
        let messages = at_last(async || link.receive(Channel::Tasks, 5).await).await;
        receipts.extend(messages.into_iter().map(|message| message.receipt));
    }
    at_last(async || Ok(link.remove().await?)).await;
    // The next job has no message with the number of a receipt yet.
    at_last(async || link.load().await).await;
    for receipt in receipts {
        link.acknowledge(&receipt, Acknowledgement::Done).await.unwrap();
    }
    let (id, body) = (MessageId { sender: 1, number: 5 }, Bytes::from(vec![5]));
    at_last(async || link.publish(Channel::Tasks, id, body.clone()).await).await;
    while at_last(async || link.receive(Channel::Tasks, 1).await).await.is_empty() {}
}
