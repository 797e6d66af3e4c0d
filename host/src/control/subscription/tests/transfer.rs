//! Zones that are subscribed to, from a server of policy zones on this machine.

use std::net::SocketAddr;

use dnsvet_core::name::Name;
use tokio::sync::watch;

use super::*;
use crate::store::control::Scope;
use crate::xfr::policy::{Action, Entry};
use crate::xfr::{Publisher, Server, ServerConfig, ZoneConfig};

const KEY: &str = "hmac-sha256:transfer.example:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn entry(name: String) -> Entry {
    Entry { name: Name::parse(&name).unwrap(), scope: Scope::Suffix, action: Action::Nxdomain }
}

/// A primary that runs until the sender is dropped.
fn primary(publisher: &Publisher) -> (SocketAddr, watch::Sender<bool>) {
    let (stop, stopped) = watch::channel(false);
    let (told, address) = std::sync::mpsc::channel();
    let publisher = publisher.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let rules = ServerConfig { keys: vec![KEY.parse().unwrap()], ..ServerConfig::default() };
            let server = Server::bind(&["127.0.0.1:0".parse().unwrap()], rules).unwrap();
            told.send(server.addresses()[0]).unwrap();
            server.run(publisher, stopped).await;
        });
    });
    (address.recv().unwrap(), stop)
}

fn zone_list(address: SocketAddr, tsig: &str) -> ListConfig {
    let text = format!(
        "lists = [{{ name = \"zone\", source = \"xfr://{address}/rpz.dnsvet\", tsig = \"{tsig}\", allow_private = true }}]"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnsvet.toml");
    std::fs::write(&path, text).unwrap();
    crate::config::Config::load(Some(&path), [], &[]).unwrap().lists.remove(0)
}

#[test]
fn a_zone_is_transferred_and_then_only_if_it_changed() {
    let publisher = Publisher::new(ZoneConfig::default(), None);
    let names = |count: usize| (0..count).map(|number| entry(format!("n{number}.example")));
    publisher.update(names(10));
    let (address, _running) = primary(&publisher);
    let folder = tempfile::tempdir().unwrap();
    let list = zone_list(address, KEY);
    let subscribed = Subscribed::start(&folder, std::slice::from_ref(&list), BY_HAND);
    until("transferred", || subscribed.state("zone").last_changed_ms.is_some());
    subscribed.settle();
    let entries = || {
        let text = in_force(&folder, &list).unwrap();
        let format = list.source.format.unwrap();
        let (entries, rejected, _) = dnsvet_core::lists::collect(text.as_bytes(), format);
        assert!(rejected.is_empty(), "{rejected:?}");
        entries.into_iter().filter_map(|entry| entry.rule.name().map(ToString::to_string)).collect::<Vec<_>>()
    };
    assert!(entries().contains(&"n9.example".to_owned()), "{:?}", entries());
    assert_eq!(subscribed.compiles(), 1);

    subscribed.update();
    assert_eq!(subscribed.compiles(), 1, "nothing newer");
    publisher.update(names(11));
    subscribed.update();
    assert!(entries().contains(&"n10.example".to_owned()), "{:?}", entries());
    assert_eq!(subscribed.compiles(), 2);
}

#[test]
fn a_primary_that_wants_another_key_is_named_and_the_old_copy_stays() {
    let publisher = Publisher::new(ZoneConfig::default(), None);
    publisher.update([entry("a.example".into())]);
    let (address, _running) = primary(&publisher);
    let folder = tempfile::tempdir().unwrap();
    let wrong = "hmac-sha256:other.example:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let list = zone_list(address, wrong);
    let subscribed = Subscribed::start(&folder, std::slice::from_ref(&list), BY_HAND);
    let says = || subscribed.state("zone").problem.unwrap_or_default();
    until("refused by the key's name", || says().contains("key"));
    assert_eq!(in_force(&folder, &list), None);
}
