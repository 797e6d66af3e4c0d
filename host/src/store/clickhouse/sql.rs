//! Texts in ClickHouse's SQL.

use crate::store::codes::{action_code, reason_code};
use crate::store::search::{ActionFilter, ClientPart, NamePart, Search};
use crate::store::{EventId, Tenant};

/// A text as a literal.
pub(super) fn literal(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\'' => quoted.push_str("\\'"),
            '\0' => quoted.push_str("\\0"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

/// A pattern for LIKE, as a literal, that holds `part` anywhere and literally.
fn holding(part: &str) -> String {
    like(part, "%")
}

/// The same for what ends so.
pub(super) fn ending(part: &str) -> String {
    like(part, "")
}

fn like(part: &str, behind: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push_str(behind);
    literal(&pattern)
}

/// The condition that an event is older than another one.
fn before(id: EventId) -> String {
    let parts = id.parts();
    let (time_ms, source, seq) = (parts.time_ms, parts.source, parts.seq);
    // The first half is for the primary key.
    format!("time_ms <= {time_ms} AND (time_ms, source_key, seq) < ({time_ms}, {source}, {seq})")
}

/// What an event must hold to be found; `None` if no event can.
pub(super) fn conditions(tenant: Tenant, search: &Search) -> Option<String> {
    let mut all = vec![format!("tenant_id = {}", tenant.0)];
    all.extend(search.cursor.map(before));
    all.extend(search.since_ms.map(|since_ms| format!("time_ms >= {since_ms}")));
    all.extend(search.until_ms.map(|until_ms| format!("time_ms < {until_ms}")));
    all.extend(search.action.map(|action| match action {
        ActionFilter::Is(action) => format!("action = {}", action_code(action)),
        ActionFilter::Blocked => "action <> 0".to_owned(),
        ActionFilter::NotConfident => "not_confident = 1".to_owned(),
    }));
    all.extend(search.reason.map(|reason| format!("reason = {}", reason_code(Some(reason)))));
    match search.name_part() {
        NamePart::Any => {}
        NamePart::Never => return None,
        NamePart::Is(name) => all.push(format!("name = {}", literal(&name))),
        NamePart::Holds(part) => all.push(format!("name LIKE {}", holding(&part))),
    }
    all.extend(search.rule().map(|rule| format!("rule = {}", literal(rule))));
    all.extend(search.clients().map(|part| match part {
        ClientPart::Starts(text) => format!("startsWith(client, {})", literal(text)),
        // What is no address lies in no network.
        ClientPart::Within(net) => {
            let (is, none) = match net {
                ipnet::IpNet::V4(_) => ("isIPv4String(client)", "'::'"),
                ipnet::IpNet::V6(_) => ("isIPv6String(client)", "'0.0.0.0'"),
            };
            format!("isIPAddressInRange(if({is}, client, {none}), {})", literal(&net.to_string()))
        }
    }));
    Some(all.join(" AND "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_can_not_end_their_quotes_and_wildcards_are_literal() {
        assert_eq!(literal(r"it's \ '"), r"'it\'s \\ \''");
        assert_eq!(holding(r"a_b\042%"), r"'%a\\_b\\\\042\\%%'");
        assert_eq!(ending(".a_b"), r"'%.a\\_b'");
        let search = Search { client: Some("1' OR '1'='1".into()), ..Search::default() };
        let sql = conditions(Tenant(1), &search).unwrap();
        assert_eq!(sql, r"tenant_id = 1 AND startsWith(client, '1\' OR \'1\'=\'1')");
        let never = Search { name: Some("a'b".into()), ..Search::default() };
        assert_eq!(conditions(Tenant(1), &never), None);
    }
}
