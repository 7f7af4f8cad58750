//! The directions between modules: the block in `ARCHITECTURE.md` is the rule, the sources are the facts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::support::repository;

/// The rules of the block: `module : allowed modules`, `a !b` for forbidden siblings, `crate=module` for owners.
struct Rules {
    allowed: BTreeMap<String, BTreeSet<String>>,
    forbidden: Vec<(String, String)>,
    owners: Vec<(String, String)>,
}

fn rules() -> Rules {
    let page = std::fs::read_to_string(repository("ARCHITECTURE.md")).unwrap();
    let block = page.split("```directions\n").nth(1).expect("the block of directions");
    let block = block.split("```").next().unwrap();
    let mut rules = Rules { allowed: BTreeMap::new(), forbidden: Vec::new(), owners: Vec::new() };
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        if let Some((module, uses)) = line.split_once(" :") {
            let uses = uses.split_whitespace().map(str::to_owned).collect();
            rules.allowed.insert(module.trim().to_owned(), uses);
        } else if line.contains('=') {
            for rule in line.split_whitespace() {
                let (names, owner) = rule.split_once('=').unwrap();
                rules.owners.extend(names.split(',').map(|name| (name.to_owned(), owner.to_owned())));
            }
        } else {
            let words: Vec<_> = line.split_whitespace().collect();
            for pair in words.chunks(2) {
                rules.forbidden.push((pair[0].to_owned(), pair[1].trim_start_matches('!').to_owned()));
            }
        }
    }
    rules
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Source text without comments, string contents and `cfg(test)` modules.
fn code(text: &str) -> String {
    let bytes: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = |s: &str| bytes[at..].iter().take(s.len()).collect::<String>() == s;
        if rest("//") {
            while at < bytes.len() && bytes[at] != '\n' {
                at += 1;
            }
        } else if rest("r#\"") {
            at += 3;
            while at < bytes.len() && !(bytes[at] == '"' && bytes.get(at + 1) == Some(&'#')) {
                at += 1;
            }
            at += 2;
            out.push_str("\"\"");
        } else if bytes[at] == '"' && !(at > 0 && bytes[at - 1] == '\'') {
            at += 1;
            while at < bytes.len() && bytes[at] != '"' {
                at += if bytes[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
            out.push_str("\"\"");
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned()
}

/// `src/a/b/c.rs` -> `a/b/c`; `mod.rs` and a folder's own name stand for the folder.
fn module_of(path: &Path) -> String {
    let inside = path.strip_prefix(repository("src")).unwrap().with_extension("");
    let name = inside.to_string_lossy().replace('\\', "/");
    name.strip_suffix("/mod").map_or(name.clone(), str::to_owned)
}

fn top(module: &str) -> &str {
    module.split('/').next().unwrap()
}

/// Names that follow `prefix` in the text, the first segment of each path, `{a, b}` groups included.
fn used(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        if text[..at].chars().last().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.insert(std::mem::take(&mut word));
                    }
                    c if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            names.insert(word);
        } else {
            names.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    let first = |name: &String| name.trim().split("::").next().unwrap_or_default().trim().to_owned();
    names.iter().map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn modules_use_only_what_the_block_allows() {
    let rules = rules();
    let mut files = Vec::new();
    sources(&repository("src"), &mut files);
    assert!(files.len() > 50, "only {} source files were seen", files.len());
    let mut problems = Vec::new();
    let mut unused: BTreeSet<(String, String)> =
        rules.allowed.iter().flat_map(|(m, uses)| uses.iter().map(move |u| (m.clone(), u.clone()))).collect();
    for path in &files {
        let module = module_of(path);
        let own = top(&module);
        if ["lib", "main", "cli"].contains(&own) || module.ends_with("/tests") {
            continue;
        }
        let text = code(&std::fs::read_to_string(path).unwrap());
        let Some(allowed) = rules.allowed.get(own) else {
            problems.push(format!("{module}: the module {own} is missing from the block"));
            continue;
        };
        for name in used(&text, "crate::") {
            if name == own {
                continue;
            }
            unused.remove(&(own.to_owned(), name.clone()));
            if rules.allowed.contains_key(&name) && !allowed.contains(&name) {
                problems.push(format!("{module} uses {name}"));
            } else if !rules.allowed.contains_key(&name) {
                problems
                    .push(format!("{module} uses crate::{name}, which is no module: name the module it comes from"));
            }
        }
        let depth = module.split('/').count();
        for climb in 2..6 {
            if text.contains(&"super::".repeat(climb)) && climb >= depth {
                problems.push(format!("{module} climbs out of its own module"));
            }
        }
        if depth == 1 && text.contains("super::") {
            problems.push(format!("{module} climbs out of its own module"));
        }
        for (from, to) in &rules.forbidden {
            if module.starts_with(from.as_str()) && text.contains(&format!("crate::{}", to.replace('/', "::"))) {
                problems.push(format!("{module} uses {to}"));
            }
        }
        for (name, owner) in &rules.owners {
            // The parent of the owner names it as a module of its own.
            let parent = owner.rsplit_once('/').is_some_and(|(parent, _)| module == parent);
            if parent || module == *owner || module.starts_with(&format!("{owner}/")) {
                continue;
            }
            let needle = name.trim_end_matches('*');
            let hit = match needle {
                "println" | "eprintln" => text.contains(&format!("{needle}!")),
                "std::fs" => !used(&text, "std::fs").is_empty() || text.contains("std::fs::"),
                _ => text.contains(&format!("use {needle}")) || !used(&text, &format!("{needle}::")).is_empty(),
            };
            if hit {
                problems.push(format!("{module} uses {name}, which belongs to {owner}"));
            }
        }
    }
    for (module, name) in unused {
        problems.push(format!("the block allows {module} -> {name}, which nobody uses"));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_block_has_no_cycle() {
    let mut open = rules().allowed;
    while !open.is_empty() {
        let free: Vec<_> = open
            .iter()
            .filter(|(_, uses)| uses.iter().all(|u| !open.contains_key(u)))
            .map(|(module, _)| module.clone())
            .collect();
        assert!(!free.is_empty(), "a cycle among {:?}", open.keys());
        for module in free {
            open.remove(&module);
        }
    }
}
