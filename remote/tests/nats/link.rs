//! The operations of the link, one by one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reorder_remote::{
    Acknowledgement, Channel, Link as _, LinkError, Message, MessageId, NatsError, NatsLink,
    NatsOperation, NatsReceipt,
};

use crate::server::{Servers, settings};

const TASKS: Channel = Channel::Tasks;
const RESULTS: Channel = Channel::Results;

async fn publish(link: &NatsLink, channel: Channel, number: u64) -> Result<(), LinkError> {
    let body = Bytes::from(format!("body {number}"));
    link.publish(channel, MessageId { sender: 7, number }, body).await
}

/// Receives until there are messages. The server of a busy machine may not answer in time.
async fn receive(link: &NatsLink, channel: Channel) -> Vec<Message<NatsReceipt>> {
    loop {
        match link.receive(channel, 10).await {
            Ok(messages) if !messages.is_empty() => return messages,
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn bodies(messages: &[Message<NatsReceipt>]) -> Vec<&str> {
    messages.iter().map(|message| std::str::from_utf8(&message.body).unwrap()).collect()
}

/// Publishes until the link has found or made its storage again.
async fn publish_at_last(link: &NatsLink, number: u64) {
    while publish(link, TASKS, number).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn copies_are_dropped_and_channels_and_jobs_are_apart() {
    let Some(servers) = Servers::start(1) else { return };
    let link = servers.link("first").await;
    let other = servers.link("second").await;
    for number in [1, 1, 2, 1] {
        publish(&link, TASKS, number).await.unwrap();
    }
    publish(&link, RESULTS, 3).await.unwrap();
    publish(&other, TASKS, 4).await.unwrap();
    let messages = receive(&link, TASKS).await;
    assert_eq!(bodies(&messages), ["body 1", "body 2"]);
    assert_eq!(messages.iter().map(|m| m.deliveries).collect::<Vec<_>>(), [1, 1]);
    assert!(messages[0].sequence < messages[1].sequence);
    assert_eq!(bodies(&receive(&link, RESULTS).await), ["body 3"]);
    assert_eq!(bodies(&receive(&other, TASKS).await), ["body 4"]);
}

#[tokio::test]
async fn messages_come_again_until_they_are_acknowledged() {
    let Some(servers) = Servers::start(1) else { return };
    let link = servers.link("job").await;
    for number in 1..=3 {
        publish(&link, TASKS, number).await.unwrap();
    }
    let first = receive(&link, TASKS).await;
    assert_eq!(bodies(&first), ["body 1", "body 2", "body 3"]);
    link.acknowledge(&first[0].receipt, Acknowledgement::Done).await.unwrap();
    link.acknowledge(&first[1].receipt, Acknowledgement::Refused).await.unwrap();
    // The wait passes, and the same stored message comes again.
    let again = receive(&link, TASKS).await;
    assert_eq!(bodies(&again), ["body 3"]);
    assert_eq!((again[0].sequence, again[0].deliveries), (first[2].sequence, 2));
    // Another receiver gives it back at once.
    let now = Acknowledgement::Again(Duration::ZERO);
    link.acknowledge(&again[0].receipt, now).await.unwrap();
    let third = receive(&link, TASKS).await;
    assert_eq!((bodies(&third), third[0].deliveries), (vec!["body 3"], 3));
    link.acknowledge(&third[0].receipt, Acknowledgement::Done).await.unwrap();
    assert!(link.receive(TASKS, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn progress_starts_the_wait_again() {
    let Some(servers) = Servers::start(1) else { return };
    let wait = Duration::from_secs(2);
    let settings = settings("job").acknowledgement_wait(wait);
    let link = settings.connect(&servers.url()).await.unwrap();
    publish(&link, TASKS, 1).await.unwrap();
    let message = receive(&link, TASKS).await;
    tokio::time::sleep(wait / 2).await;
    let progress = Instant::now();
    link.acknowledge(&message[0].receipt, Acknowledgement::Progress).await.unwrap();
    assert!(receive(&link, TASKS).await[0].deliveries > message[0].deliveries);
    // Without progress, half of the wait would be left. The clock of the server has other steps.
    assert!(progress.elapsed() > wait * 9 / 10);
}

#[tokio::test]
async fn the_entry_changes_only_if_it_is_as_expected() {
    let Some(servers) = Servers::start(1) else { return };
    let link = servers.link("job").await;
    let store = async |value: &'static str, expected| {
        link.store(Bytes::from_static(value.as_bytes()), expected).await.unwrap()
    };
    assert_eq!(link.load().await.unwrap(), None);
    assert_eq!(store("too early", Some(1)).await, None);
    let first = store("first", None).await.unwrap();
    assert_eq!(store("twice", None).await, None);
    let second = store("second", Some(first)).await.unwrap();
    assert!(second > first);
    assert_eq!(store("stale", Some(first)).await, None);
    let entry = link.load().await.unwrap().unwrap();
    assert_eq!((&entry.value[..], entry.revision), (&b"second"[..], second));
}

#[tokio::test]
async fn messages_that_are_too_large_are_refused() {
    let Some(servers) = Servers::start(1) else { return };
    let link = servers.link("large").await;
    let allowed = link.max_message();
    assert!(((1 << 20) - 1024..1 << 20).contains(&allowed), "{allowed}");
    let small = settings("small").max_message(1000).connect(&servers.url()).await.unwrap();
    assert!((800..1000).contains(&small.max_message()));
    // A link that finds the streams has their limit.
    let found = servers.link("small").await;
    assert_eq!(found.max_message(), small.max_message());
    for link in [link, small, found] {
        let allowed = link.max_message();
        let id = |number| MessageId { sender: u64::MAX, number: u64::MAX - number };
        link.publish(TASKS, id(0), vec![0; allowed].into()).await.unwrap();
        let error = link.publish(TASKS, id(1), vec![0; allowed + 1].into()).await.unwrap_err();
        let LinkError::TooLarge { given, allowed: stated } = error else { panic!("{error}") };
        assert_eq!((given, stated), (allowed + 1, allowed));
    }
}

#[tokio::test]
async fn a_full_stream_refuses_messages_and_keeps_old_ones() {
    let Some(servers) = Servers::start(1) else { return };
    let link = settings("job").max_messages(2).connect(&servers.url()).await.unwrap();
    publish(&link, TASKS, 1).await.unwrap();
    publish(&link, TASKS, 2).await.unwrap();
    let error = publish(&link, TASKS, 3).await.unwrap_err();
    assert!(matches!(error, LinkError::Unavailable(_)), "{error}");
    let messages = receive(&link, TASKS).await;
    assert_eq!(bodies(&messages), ["body 1", "body 2"]);
    link.acknowledge(&messages[0].receipt, Acknowledgement::Done).await.unwrap();
    publish_at_last(&link, 3).await;
}

#[tokio::test]
async fn a_server_that_was_killed_still_has_the_storage() {
    let Some(mut servers) = Servers::start(1) else { return };
    let link = servers.link("job").await;
    publish(&link, TASKS, 1).await.unwrap();
    let revision = link.store(Bytes::from_static(b"entry"), None).await.unwrap();
    servers.kill(0);
    servers.restart(0);
    assert_eq!(bodies(&receive(&link, TASKS).await), ["body 1"]);
    assert_eq!(link.load().await.unwrap().map(|entry| entry.revision), revision);
}

#[tokio::test]
async fn a_server_that_has_lost_its_storage_gets_a_new_one() {
    let Some(mut servers) = Servers::start(1) else { return };
    let link = servers.link("job").await;
    publish(&link, TASKS, 1).await.unwrap();
    link.store(Bytes::from_static(b"entry"), None).await.unwrap();
    for round in 2..4 {
        servers.restart_without_storage(0);
        publish_at_last(&link, round).await;
        assert_eq!(bodies(&receive(&link, TASKS).await), [format!("body {round}")]);
        assert_eq!(link.load().await.unwrap(), None);
        assert!(link.store(Bytes::from_static(b"entry"), None).await.unwrap().is_some());
    }
    link.remove().await.unwrap();
    link.remove().await.unwrap();
    assert_eq!(link.load().await.unwrap(), None);
}

#[tokio::test]
async fn every_operation_ends_without_a_server() {
    let Some(mut servers) = Servers::start(1) else { return };
    let builder = settings("job").time_limit(Duration::from_millis(500));
    let link = builder.connect(&servers.url()).await.unwrap();
    publish(&link, TASKS, 1).await.unwrap();
    let receipt = receive(&link, TASKS).await[0].receipt.clone();
    servers.kill(0);
    let failed = |error: LinkError| match error {
        LinkError::Unavailable(error) => match *error.downcast::<NatsError>().unwrap() {
            NatsError::NoAnswer { operation, .. } | NatsError::Refused { operation, .. } => {
                operation
            }
            error => panic!("{error}"),
        },
        error => panic!("{error}"),
    };
    let operation = failed(publish(&link, TASKS, 2).await.unwrap_err());
    assert_eq!(operation, NatsOperation::Publish);
    // The next operations look for the storage first.
    assert_eq!(failed(link.receive(TASKS, 1).await.unwrap_err()), NatsOperation::Open);
    assert_eq!(failed(link.load().await.unwrap_err()), NatsOperation::Open);
    assert_eq!(failed(link.store(Bytes::new(), None).await.unwrap_err()), NatsOperation::Open);
    _ = link.acknowledge(&receipt, Acknowledgement::Done).await;
    for (result, expected) in
        [(link.clear().await, NatsOperation::Clear), (link.remove().await, NatsOperation::Remove)]
    {
        let error = result.unwrap_err();
        assert!(error.to_string().ends_with("reorder_job_results, KV_reorder_job"), "{error}");
        let NatsError::Left { streams, source } = error else { panic!("{error}") };
        assert_eq!(streams, ["reorder_job_tasks", "reorder_job_results", "KV_reorder_job"]);
        assert_eq!(failed(LinkError::Unavailable(source)), expected);
    }
    let error = NatsLink::builder("job").connect(&servers.url()).await.unwrap_err();
    assert!(matches!(error, NatsError::Refused { operation: NatsOperation::Connect, .. }));
}

#[tokio::test]
async fn names_of_jobs_are_checked() {
    for name in ["", "a b", "a.b", "a*", "ä", &"x".repeat(129)] {
        let error = NatsLink::builder(name).connect("nats://127.0.0.1:1").await.unwrap_err();
        let NatsError::JobName { given } = error else { panic!("{error}") };
        assert_eq!(given, name);
    }
}

#[tokio::test]
async fn a_late_receipt_acknowledges_no_message_of_the_next_job() {
    let Some(servers) = Servers::start(1) else { return };
    let link = servers.link("job").await;
    publish(&link, TASKS, 1).await.unwrap();
    let receipt = receive(&link, TASKS).await[0].receipt.clone();
    link.remove().await.unwrap();
    // It has the same number in its stream as the message of the receipt.
    publish_at_last(&link, 2).await;
    link.acknowledge(&receipt, Acknowledgement::Done).await.unwrap();
    publish(&link, TASKS, 3).await.unwrap();
    assert_eq!(bodies(&receive(&link, TASKS).await)[0], "body 2");
}

#[tokio::test]
async fn a_job_that_is_cleared_begins_anew() {
    let Some(servers) = Servers::start(1) else { return };
    let link = servers.link("job").await;
    publish(&link, TASKS, 1).await.unwrap();
    publish(&link, TASKS, 2).await.unwrap();
    publish(&link, RESULTS, 3).await.unwrap();
    let first = receive(&link, TASKS).await;
    let older = link.store(Bytes::from_static(b"entry"), None).await.unwrap();
    link.clear().await.unwrap();
    assert_eq!(link.load().await.unwrap(), None);
    let newer = link.store(Bytes::from_static(b"entry"), None).await.unwrap();
    assert!(newer > older);
    publish(&link, TASKS, 4).await.unwrap();
    publish(&link, RESULTS, 5).await.unwrap();
    for message in &first {
        link.acknowledge(&message.receipt, Acknowledgement::Done).await.unwrap();
    }
    assert_eq!(bodies(&receive(&link, TASKS).await), ["body 4"]);
    assert_eq!(bodies(&receive(&link, RESULTS).await), ["body 5"]);
    // Without streams, there is nothing to clear.
    link.remove().await.unwrap();
    link.clear().await.unwrap();
}
