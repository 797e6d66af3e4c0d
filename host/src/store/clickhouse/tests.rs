//! The ClickHouse store over ClickHouse's own engine: chdb, the current engine as a Python package, behind the HTTP
//! interface that `tests/chdb/front.py` gives it; and the wire over Debian's `clickhouse-server`, which is a real server,
//! too old for the tables.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use dnsvet_core::verdict::{Action, Reason};

use super::*;
use crate::store::conformance::{self, conformance};
use crate::store::tests::{NOON_MS, T, append, batch, event};
use crate::store::{Appended, now_ms};

const PASSWORD: &str = "it's \"secret\"";

/// Where chdb listens; it is started by whoever asks first, and ends with this process. `None`, with a line that says
/// so, where there is no chdb.
fn chdb() -> Option<&'static str> {
    static CHDB: OnceLock<Option<(String, Child, tempfile::TempDir)>> = OnceLock::new();
    let started = CHDB.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let python = std::env::var_os("DNSVET_CHDB")
            .map_or_else(|| target.join("venv-chdb/bin/python"), PathBuf::from);
        if !python.exists() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(python)
            .arg(root.join("tests/chdb/front.py"))
            .arg(folder.path().join("data"))
            .env("FRONT_PASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://"), "chdb did not start: {url:?}");
        Some((url.trim().to_owned(), child, folder))
    });
    if started.is_none() {
        println!("skipped: no chdb; `cargo xtask test` installs it");
    }
    started.as_ref().map(|(url, ..)| url.as_str())
}

fn config(url: &str, database: &str) -> ClickHouse {
    ClickHouse {
        url: url.to_owned(),
        database: database.to_owned(),
        user: "dnsvet".into(),
        password: PASSWORD.into(),
        ..ClickHouse::default()
    }
}

/// A database of its own.
struct Database {
    url: String,
    name: String,
    spool: tempfile::TempDir,
}

impl Database {
    fn fresh(url: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("events_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { url: url.to_owned(), name, spool: tempfile::tempdir().unwrap() }
    }

    fn open_at(&self, url: &str, retention: Retention) -> ClickHouseStore {
        let config = config(url, &self.name);
        ClickHouseStore::open(&config, &self.spool.path().join("spool"), retention, ClientAddresses::Truncate)
            .unwrap()
    }

    fn engine(&self, retention: Retention) -> Engine {
        engine(&config(&self.url, &self.name), retention)
    }
}

fn engine(config: &ClickHouse, retention: Retention) -> Engine {
    Engine::new(config, retention).unwrap()
}

impl conformance::Engine for Database {
    fn open(&self, retention: Retention, addresses: ClientAddresses) -> Box<dyn EventStore> {
        let config = config(&self.url, &self.name);
        Box::new(
            ClickHouseStore::open(&config, &self.spool.path().join("spool"), retention, addresses).unwrap(),
        )
    }

    fn retain(&self, retention: Retention, now_ms: u64) {
        let engine = self.engine(retention);
        engine.prepare().unwrap();
        engine.retain(now_ms).unwrap();
    }
}

conformance!(chdb().map(Database::fresh));

fn keep() -> Retention {
    Retention { raw_days: 20_000, rollup_days: 20_000, store_bytes: 0, ..Retention::default() }
}

fn asked(seqs: std::ops::RangeInclusive<u64>) -> Batch {
    batch(seqs.map(|seq| event(seq, "x.example", "10.0.0.1", Action::Allow, Reason::Model)).collect())
}

/// Waits until the store holds so many events, and says that its roll-ups do too.
fn wait_for(store: &ClickHouseStore, events: usize) {
    let started = Instant::now();
    let all = Search { limit: 1_000, ..Search::default() };
    loop {
        let found = store.search(T, &all).map_or(0, |page| page.items.len());
        if found == events {
            break;
        }
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "{found} of {events} events after half a minute"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(store.overview(T, NOON_MS, NOON_MS + 1_000).unwrap().queries, events as u64);
}

fn metric(store: &ClickHouseStore, name: &str) -> u64 {
    let mut text = String::new();
    store.render(&mut text);
    let line = text.lines().find(|line| line.split(' ').next() == Some(name));
    line.unwrap_or_else(|| panic!("{name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// A port where nothing listens.
fn nobody() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("http://127.0.0.1:{port}")
}

#[test]
fn events_wait_on_disk_while_the_server_is_away_and_are_stored_once_when_it_is_back() {
    let Some(url) = chdb() else { return };
    let database = Database::fresh(url);
    let store = database.open_at(&nobody(), keep());
    for seqs in [1..=10, 11..=20] {
        assert_eq!(append(&store, T, asked(seqs)), Appended { stored: 0, known: 0 }, "in the spool");
    }
    assert_eq!(metric(&store, "dnsvet_store_spool_events"), 20);
    assert!(metric(&store, "dnsvet_store_failures_total") > 0);
    let error = store.search(T, &Search::default()).unwrap_err().to_string();
    assert!(error.contains("127.0.0.1") && error.contains("check that it runs"), "{error}");
    drop(store);
    let store = database.open_at(url, keep());
    wait_for(&store, 20);
    assert_eq!(append(&store, T, asked(1..=25)), Appended { stored: 5, known: 20 });
    assert_eq!(metric(&store, "dnsvet_store_spool_events"), 0);
}

#[test]
fn a_full_spool_refuses_and_counts() {
    let database = Database::fresh(&nobody());
    let store = database.open_at(&database.url, Retention { spool_bytes: 20_000, ..keep() });
    let mut refused = None;
    for part in 0..20u64 {
        let receipt = store.append(T, asked(part * 10 + 1..=part * 10 + 10)).unwrap();
        if let Err(error) = receipt.blocking_recv().unwrap() {
            refused = Some(error.to_string());
            break;
        }
    }
    assert!(refused.is_some_and(|error| error.contains("retention.spool_bytes")), "it says what to do");
    assert_eq!(metric(&store, "dnsvet_store_refused_events_total"), 10);
    assert!(metric(&store, "dnsvet_store_spool_bytes") <= 20_000);
}

/// A forwarder to `url` that can lose the reply to an insert of events.
fn losing(url: &str, lose: &'static AtomicBool) -> String {
    let to = url.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for from in listener.incoming().map_while(Result::ok) {
            let to = TcpStream::connect(&to).unwrap();
            std::thread::spawn(move || {
                let (mut from, mut to) = (BufReader::new(from), BufReader::new(to));
                while let Some(request) = message(&mut from) {
                    to.get_mut().write_all(&request).unwrap();
                    let Some(reply) = message(&mut to) else { return };
                    let is_insert = request.windows(13).any(|part| part == b".events (tena");
                    if is_insert && lose.swap(false, Ordering::Relaxed) {
                        return;
                    }
                    from.get_mut().write_all(&reply).unwrap();
                }
            });
        }
    });
    format!("http://127.0.0.1:{port}")
}

/// One HTTP message with a `Content-Length`.
fn message(from: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut all, mut length) = (Vec::new(), 0);
    loop {
        let start = all.len();
        if from.read_until(b'\n', &mut all).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&all[start..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let start = all.len();
    all.resize(start + length, 0);
    from.read_exact(&mut all[start..]).ok()?;
    Some(all)
}

#[test]
fn an_insert_whose_answer_is_lost_is_not_stored_twice() {
    static LOSE: AtomicBool = AtomicBool::new(false);
    let Some(url) = chdb() else { return };
    let database = Database::fresh(url);
    let store = database.open_at(&losing(url, &LOSE), keep());
    assert_eq!(append(&store, T, asked(1..=10)).stored, 10);
    LOSE.store(true, Ordering::Relaxed);
    assert_eq!(append(&store, T, asked(11..=20)), Appended { stored: 0, known: 0 }, "nobody knows");
    assert!(!LOSE.load(Ordering::Relaxed), "the reply was lost");
    wait_for(&store, 20);
    let started = Instant::now();
    while metric(&store, "dnsvet_store_spool_events") > 0 {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(append(&store, T, asked(15..=22)), Appended { stored: 2, known: 6 });
    wait_for(&store, 22);
}

#[test]
fn a_restart_with_other_days_changes_the_tables_and_a_newer_schema_is_refused() {
    let Some(url) = chdb() else { return };
    let database = Database::fresh(url);
    let ttl = |retention: Retention| {
        let engine = database.engine(retention);
        engine.prepare().unwrap();
        let sql = format!(
            "SELECT create_table_query FROM system.tables WHERE database = '{}' AND name = 'events'",
            database.name
        );
        let rows: Vec<(String,)> = engine.read(&sql).unwrap();
        rows[0].0.clone()
    };
    assert!(ttl(Retention::default()).contains("toIntervalDay(7)"));
    assert!(ttl(Retention { raw_days: 30, ..Retention::default() }).contains("toIntervalDay(30)"));
    let engine = database.engine(Retention::default());
    engine.execute(&format!("INSERT INTO {}.schema_version VALUES (99)", database.name)).unwrap();
    let error = engine.prepare().unwrap_err().to_string();
    assert!(error.contains("schema 99 is newer"), "{error}");
}

#[test]
fn a_wrong_password_is_told() {
    let Some(url) = chdb() else { return };
    let wrong = ClickHouse { password: "wrong".into(), ..config(url, "nowhere") };
    let error = engine(&wrong, keep()).prepare().unwrap_err().to_string();
    assert!(error.contains("403") && error.contains("Authentication failed"), "{error}");
}

#[test]
fn past_its_size_a_store_drops_its_oldest_days() {
    let Some(url) = chdb() else { return };
    let database = Database::fresh(url);
    let store = database.open_at(url, keep());
    let now = now_ms();
    for day in 0..4u64 {
        let events = (1..=500u64).map(|n| Event {
            time_ms: now - (3 - day) * 86_400_000,
            ..event(day * 500 + n, &format!("n{n}.example"), "10.0.0.1", Action::Allow, Reason::Model)
        });
        append(&store, T, batch(events.collect()));
    }
    let count = || {
        let sql = format!("SELECT count(), min(seq) FROM {}.events", database.name);
        database.engine(keep()).read::<(u64, u64)>(&sql).unwrap()[0]
    };
    assert_eq!(count(), (2_000, 1));
    database.engine(Retention { store_bytes: 1, ..keep() }).retain(now).unwrap();
    assert_eq!(count(), (500, 1_501), "the newest day stays");
}

/// Debian's server on a port of its own; `None`, with a line that says so, where it is not installed.
struct Debian {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Debian {
    fn start() -> Option<Self> {
        let program = ["/usr/sbin/clickhouse-server", "/usr/bin/clickhouse-server"];
        let Some(program) = program.into_iter().find(|program| Path::new(program).exists()) else {
            println!("skipped: no clickhouse-server; `cargo xtask test` installs Debian's");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (http, tcp, inter) = (free(), free(), free());
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (data, tmp, users) = (at("data"), at("tmp"), at("users.xml"));
        let escaped = PASSWORD.replace('"', "&quot;");
        let config = format!(
            "<yandex><logger><level>error</level><log>{0}</log><errorlog>{0}</errorlog></logger>
             <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><interserver_http_port>{inter}</interserver_http_port>
             <listen_host>127.0.0.1</listen_host><path>{data}/</path><tmp_path>{tmp}/</tmp_path>
             <users_config>{users}</users_config><default_profile>default</default_profile>
             <default_database>default</default_database><mark_cache_size>67108864</mark_cache_size></yandex>",
            at("log")
        );
        let users_text = format!(
            "<yandex><profiles><default/></profiles><quotas><default/></quotas><users><dnsvet>
             <password>{escaped}</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
             <quota>default</quota></dnsvet><default><password>{escaped}</password>
             <networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
             </users></yandex>"
        );
        std::fs::write(folder.path().join("config.xml"), config).unwrap();
        std::fs::write(&users, users_text).unwrap();
        let child = Command::new(program)
            .arg(format!("--config-file={}", at("config.xml")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, url: format!("http://127.0.0.1:{http}"), _folder: folder };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", http)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "the server ended");
            assert!(started.elapsed() < Duration::from_secs(60), "the server does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_server_takes_user_password_and_rows_and_one_that_is_too_old_is_told() {
    let Some(server) = Debian::start() else { return };
    let ours = engine(&config(&server.url, "default"), keep());
    ours.execute("CREATE TABLE default.odd (number UInt64, text String) ENGINE = Memory").unwrap();
    let text = "it's \\ \"odd\" \n\t\u{1} ünïcode";
    let json = serde_json::json!({"number": u64::MAX, "text": text});
    ours.execute(&format!("INSERT INTO default.odd FORMAT JSONEachRow\n{json}\n")).unwrap();
    let like = format!("SELECT number FROM default.odd WHERE text = {}", sql::literal(text));
    for _ in 0..3 {
        let answer = ours.send(like.clone().into_bytes(), READ).unwrap();
        assert_eq!(answer, format!("{}\n", u64::MAX), "a literal means what it says");
    }
    let error = ours.execute("SELECT nothing FROM nowhere").unwrap_err();
    assert!(matches!(&error, RemoteError::Refused { status: 404 | 500, .. }), "{error}");
    let wrong = engine(&ClickHouse { password: "wrong".into(), ..config(&server.url, "default") }, keep());
    let error = wrong.execute("SELECT 1").unwrap_err();
    assert!(matches!(&error, RemoteError::Refused { status: 401 | 403 | 500, .. }), "{error}");
    let error = ours.prepare().unwrap_err().to_string();
    assert!(error.contains("is ClickHouse 18.") && error.contains("needs 23 or later"), "{error}");
}
