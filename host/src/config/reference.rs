//! The reference page of the configuration: a valid `dnsvet.toml` with every key at its default.

use std::fmt::Write as _;

use toml::Value;

use super::Config;
use super::keys::{group_fields, keys, list_fields, section};

/// Every key with its default, doc, environment variable and flag, as a file that could be used.
pub fn reference() -> String {
    let mut page = String::from(
        "# dnsvet.toml: every key at its default. Each is also an environment variable and a flag of\n\
         # `dnsvet serve`; a flag wins over the environment, that over this file.\n",
    );
    let mut open = "";
    for key in keys().iter().filter(|key| key.path != "groups").filter(|key| !key.path.contains('.')) {
        entry(&mut page, &key.doc, &key.env(), &key.flag, &key.path, &key.default);
    }
    for key in keys().iter().filter(|key| key.path.contains('.')) {
        let Some((name, field)) = key.path.split_once('.') else { continue };
        if name != open && section(name).is_some() {
            let doc = Config::DOCS.iter().find(|(section, _)| *section == name).map_or("", |(_, doc)| doc);
            let _ = write!(page, "\n#{doc}\n[{name}]\n");
            open = name;
        }
        entry(&mut page, &key.doc, &key.env(), &key.flag, field, &key.default);
    }
    page.push_str(
        "\n# A list that says more than a text is a table, in `lists` or here; then leave `lists` above out.\n\
         #[[lists]]\n",
    );
    for (field, value, doc) in list_fields() {
        let _ = writeln!(page, "# {doc}\n#{field} = {value}");
    }
    if let Some(groups) = keys().iter().find(|key| key.path == "groups") {
        let _ = write!(
            page,
            "\n# {}\n# {} or --{}; what a group leaves out is as below,\n# but for `lists`, `models` and `failure_mode`: those follow [mode] and `failure_mode`.\n",
            groups.doc,
            groups.env(),
            groups.flag
        );
        page.push_str("#[[groups]]\n");
        for (field, value) in group_fields() {
            let _ = writeln!(page, "#{field} = {value}");
        }
    }
    page
}

fn entry(page: &mut String, doc: &str, env: &str, flag: &str, field: &str, default: &Value) {
    let _ = write!(page, "\n# {doc}\n# {env} or --{flag}\n{field} = {default}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_a_valid_file_that_says_the_defaults_and_names_every_key() {
        let page = reference();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &page).unwrap();
        assert_eq!(Config::load(Some(file.path()), [], &[]).unwrap(), Config::default());
        for key in keys() {
            assert!(page.contains(&key.doc), "{}", key.path);
            assert!(page.contains(&key.env()) && page.contains(&format!("--{}", key.flag)), "{}", key.path);
        }
        let (_, list) = page.split_once("\n#[[lists]]\n").unwrap();
        let (list, _) = list.split_once("\n\n").unwrap();
        let fields =
            list.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' '));
        let list = fields.collect::<Vec<_>>().join("\n").replace("source = \"\"", "source = \"x\"");
        std::fs::write(file.path(), format!("[[lists]]\n{list}")).unwrap();
        let config = Config::load(Some(file.path()), [], &[]).unwrap();
        assert_eq!(config.lists, ["x".parse().unwrap()]);
        let (_, group) = page.split_once("\n#[[groups]]").unwrap();
        std::fs::write(file.path(), format!("[[groups]]{}", group.replace("\n#", "\n"))).unwrap();
        let config = Config::load(Some(file.path()), [], &[]).unwrap();
        assert_eq!(config.groups, [dnsvet_core::policy::Group::default()]);
    }
}
