//! The modules of one crate, and what the names in them mean.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree, Visibility};

use crate::tree::read;

/// File → the files it uses, and the names it takes from each.
pub(super) type Uses = BTreeMap<usize, BTreeMap<usize, BTreeSet<String>>>;

/// How many re-exports are followed for one name.
const FOLLOWED_MAX: usize = 16;

/// The modules of a crate; the first is its root.
pub(super) struct Modules {
    modules: Vec<Module>,
    files: Vec<String>,
}

#[derive(Default)]
struct Module {
    parent: usize,
    file: usize,
    children: BTreeMap<String, usize>,
    /// Names that are defined here.
    defined: Vec<String>,
    /// Names that stand for paths, and whether others may see them here.
    imported: BTreeMap<String, Import>,
    /// Paths all of whose names are seen here.
    globs: Vec<Vec<String>>,
    /// Paths in the code.
    paths: Vec<Vec<String>>,
}

struct Import {
    path: Vec<String>,
    private: bool,
}

impl Modules {
    /// The crate whose root is the file `root`.
    pub(super) fn read(root: &str) -> Self {
        Self::with(root, &|path| read(path), &|path| crate::tree::root().join(path).is_file())
    }

    /// A crate of `files`, the first of them its root.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let text = |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| *text);
        let known = |path: &str| text(path).unwrap_or_default().to_owned();
        Self::with(files[0].0, &known, &|path| text(path).is_some())
    }

    fn with(root: &str, text: &dyn Fn(&str) -> String, exists: &dyn Fn(&str) -> bool) -> Self {
        let mut modules = Self { modules: vec![Module::default()], files: vec![root.to_owned()] };
        let folder =
            root.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let mut open = vec![(0, folder)];
        while let Some((at, folder)) = open.pop() {
            let path = modules.files[modules.modules[at].file].clone();
            let parsed = syn::parse_file(&text(&path)).unwrap_or_else(|e| panic!("{path}: {e}"));
            let mut outer = Vec::new();
            modules.take(at, parsed.items, &folder, &mut outer);
            for (child, inner) in outer {
                let path = format!("{}.rs", inner.trim_end_matches('/'));
                assert!(exists(&path), "{path} is declared and not there");
                modules.modules[child].file = modules.files.len();
                modules.files.push(path);
                open.push((child, inner));
            }
        }
        modules
    }

    pub(super) fn file(&self, file: usize) -> &str {
        &self.files[file]
    }

    /// Takes in the items of a module; `outer` collects the modules that are files of their own.
    fn take(
        &mut self,
        at: usize,
        items: Vec<Item>,
        folder: &str,
        outer: &mut Vec<(usize, String)>,
    ) {
        for item in items {
            if is_for_tests(&item) {
                continue;
            }
            match item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let child = self.modules.len();
                    let file = self.modules[at].file;
                    self.modules.push(Module { parent: at, file, ..Module::default() });
                    self.modules[at].children.insert(name.clone(), child);
                    let folder = format!("{folder}{name}/");
                    match inner.content {
                        Some((_, items)) => self.take(child, items, &folder, outer),
                        None => outer.push((child, folder)),
                    }
                }
                Item::Use(item) => {
                    let private = matches!(item.vis, Visibility::Inherited);
                    self.modules[at].import(&item.tree, &mut Vec::new(), private);
                }
                other => {
                    let module = &mut self.modules[at];
                    module.defined.extend(name_of(&other));
                    paths_in(other.into_token_stream(), &mut module.paths);
                }
            }
        }
    }

    /// Which file uses which.
    pub(super) fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for (at, module) in self.modules.iter().enumerate() {
            let private = module.imported.values().filter(|import| import.private);
            let used = module.paths.iter().chain(private.map(|import| &import.path));
            for path in used {
                let Some(to) = self.definer(at, path) else { continue };
                if to != module.file {
                    let names = uses.entry(module.file).or_default().entry(to).or_default();
                    names.extend(path.last().cloned());
                }
            }
        }
        uses
    }

    /// The file that defines what `path` names; none for a path of another crate, and for a module,
    /// which is used through what is in it.
    fn definer(&self, at: usize, path: &[String]) -> Option<usize> {
        match self.find(at, path, FOLLOWED_MAX)? {
            Found::Name(file) => Some(file),
            Found::Module(_) => None,
        }
    }

    fn find(&self, from: usize, path: &[String], follow: usize) -> Option<Found> {
        let mut at = from;
        for (index, name) in path.iter().enumerate() {
            let module = &self.modules[at];
            match name.as_str() {
                "crate" => at = 0,
                "super" => at = module.parent,
                "self" => {}
                name => match module.children.get(name) {
                    Some(child) => at = *child,
                    None => match self.member(at, name, follow) {
                        Some(Found::Module(module)) => at = module,
                        Some(Found::Name(file)) => return Some(Found::Name(file)),
                        // A macro may have made the name; the first of a path is another crate's.
                        None => return (index > 0).then_some(Found::Name(module.file)),
                    },
                },
            }
        }
        Some(Found::Module(at))
    }

    /// What a name that is no child means in a module.
    fn member(&self, at: usize, name: &str, follow: usize) -> Option<Found> {
        let module = &self.modules[at];
        if module.defined.iter().any(|defined| defined == name) {
            return Some(Found::Name(module.file));
        }
        let follow = follow.checked_sub(1)?;
        if let Some(import) = module.imported.get(name) {
            // `use time::time` names a crate, not itself.
            let own = import.path.first().is_some_and(|first| first == name);
            return if own { None } else { self.find(at, &import.path, follow) };
        }
        module.globs.iter().find_map(|glob| match self.find(at, glob, follow)? {
            Found::Module(inner) if inner != at => match self.modules[inner].children.get(name) {
                Some(child) => Some(Found::Module(*child)),
                None => self.member(inner, name, follow),
            },
            _ => None,
        })
    }
}

enum Found {
    Module(usize),
    Name(usize),
}

impl Module {
    fn import(&mut self, tree: &UseTree, path: &mut Vec<String>, private: bool) {
        match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                self.import(&step.tree, path, private);
                path.pop();
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(tree, path, private));
            }
            UseTree::Glob(_) => self.globs.push(path.clone()),
            UseTree::Name(name) => self.bind(&name.ident.to_string(), None, path, private),
            UseTree::Rename(name) => {
                let (ident, alias) = (name.ident.to_string(), name.rename.to_string());
                self.bind(&ident, Some(alias), path, private);
            }
        }
    }

    fn bind(&mut self, name: &str, alias: Option<String>, path: &[String], private: bool) {
        let mut path = path.to_vec();
        if name != "self" {
            path.push(name.to_owned());
        }
        let seen = alias.or_else(|| path.last().cloned()).unwrap_or_default();
        self.imported.insert(seen, Import { path, private });
    }
}

/// Whether an item is compiled for tests only.
fn is_for_tests(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.to_token_stream().to_string().replace(' ', "").contains("cfg(test)")
    })
}

fn name_of(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(ident.to_string())
}

/// Every `a::b::c` in the tokens, those of macros too; a name behind a dot is a field or a method.
fn paths_in(tokens: TokenStream, paths: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    let mut behind_dot = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 && !path.is_empty() {
                    paths.push(std::mem::take(&mut path));
                }
                if !behind_dot {
                    path.push(ident.to_string());
                }
                (colons, behind_dot) = (0, false);
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            other => {
                if !path.is_empty() {
                    paths.push(std::mem::take(&mut path));
                }
                colons = 0;
                behind_dot = matches!(&other, TokenTree::Punct(p) if p.as_char() == '.');
                if let TokenTree::Group(group) = other {
                    paths_in(group.stream(), paths);
                }
            }
        }
    }
    if !path.is_empty() {
        paths.push(path);
    }
}
