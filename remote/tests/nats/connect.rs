//! The connection, the settings, and the creation of the storage.

use reorder_remote::NatsLink;
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
