//! The rules that need a parsed file.

use std::collections::BTreeSet;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::{
    ARGUMENTS, ARGUMENTS_ALLOWED, FUNCTION_LINES, Finding, SLEEP_ALLOWED, UNSAFE_ALLOWED, is_test_file,
};

/// Names of the enums a file defines.
pub(crate) fn enums_of(file: &syn::File) -> BTreeSet<String> {
    struct Enums(BTreeSet<String>);
    impl<'ast> Visit<'ast> for Enums {
        fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
            self.0.insert(item.ident.to_string());
        }
    }
    let mut enums = Enums(BTreeSet::new());
    enums.visit_file(file);
    enums.0
}

pub(crate) fn check_syntax(path: &str, file: &syn::File, enums: &BTreeSet<String>) -> Vec<Finding> {
    let in_tests = is_test_file(path) || path.starts_with("tests/src/");
    let mut checker = Checker {
        path,
        enums,
        in_tests,
        self_type: None,
        findings: Vec::new(),
    };
    checker.visit_file(file);
    if path.ends_with("/lib.rs") || path.ends_with("/mod.rs") {
        checker.introduces_only(file);
    }
    checker.findings
}

/// Walks one file and collects what breaks a rule.
struct Checker<'a> {
    path: &'a str,
    enums: &'a BTreeSet<String>,
    in_tests: bool,
    self_type: Option<String>,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn report(&mut self, span: Span, what: impl Into<String>) {
        let place = format!("{}:{}", self.path, span.start().line);
        self.findings.push(Finding {
            place,
            what: what.into(),
        });
    }

    fn function(&mut self, signature: &syn::Signature, whole: Span) {
        let first = signature.fn_token.span().start().line;
        let lines = whole.end().line + 1 - first;
        let name = &signature.ident;
        if lines > FUNCTION_LINES {
            self.report(
                signature.span(),
                format!("fn {name} has {lines} lines, more than {FUNCTION_LINES}"),
            );
        }
        let arguments = signature.inputs.len();
        let allowed = ARGUMENTS_ALLOWED.iter().any(|(allowed, _)| *allowed == self.path);
        if arguments > ARGUMENTS && !allowed {
            self.report(
                signature.span(),
                format!("fn {name} takes {arguments} arguments, more than {ARGUMENTS}"),
            );
        }
        if matches!(signature.safety, syn::Safety::Unsafe(_)) {
            self.unsafe_at(signature.span());
        }
    }

    fn unsafe_at(&mut self, span: Span) {
        if !UNSAFE_ALLOWED.iter().any(|(allowed, _)| *allowed == self.path) {
            self.report(span, "unsafe outside the files allowed to contain it");
        }
    }

    fn call(&mut self, name: &syn::Ident) {
        let allowed = SLEEP_ALLOWED.iter().any(|(allowed, _)| *allowed == self.path);
        if name == "sleep" && self.in_tests && !allowed {
            self.report(
                name.span(),
                "a test that sleeps; wait for the event with a deadline",
            );
        }
    }

    /// `lib.rs` and `mod.rs` only introduce and re-export.
    fn introduces_only(&mut self, file: &syn::File) {
        for item in &file.items {
            let what = match item {
                syn::Item::Fn(f) if !is_test(&f.attrs) => format!("fn {}", f.sig.ident),
                syn::Item::Struct(s) => format!("struct {}", s.ident),
                syn::Item::Enum(e) => format!("enum {}", e.ident),
                syn::Item::Impl(_) => "an impl".to_owned(),
                _ => continue,
            };
            self.report(
                item.span(),
                format!("{what} in a file that only introduces and re-exports"),
            );
        }
    }

    /// The enum of our own that a pattern names a variant of.
    fn own_enum(&self, pattern: &syn::Pat) -> Option<String> {
        let path = match pattern {
            syn::Pat::Path(p) => &p.path,
            syn::Pat::TupleStruct(p) => &p.path,
            syn::Pat::Struct(p) => &p.path,
            syn::Pat::Reference(p) => return self.own_enum(&p.pat),
            syn::Pat::Paren(p) => return self.own_enum(&p.pat),
            syn::Pat::Guard(p) => return self.own_enum(&p.pat),
            syn::Pat::Or(p) => return p.cases.iter().find_map(|case| self.own_enum(case)),
            _ => return None,
        };
        let mut segments = path.segments.iter().rev();
        let (_variant, owner) = (segments.next()?, segments.next()?.ident.to_string());
        let owner = if owner == "Self" {
            self.self_type.clone()?
        } else {
            owner
        };
        self.enums.contains(&owner).then_some(owner)
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        let text = a.meta.path().segments.last().map(|s| s.ident.to_string());
        let cfg_test =
            matches!(&a.meta, syn::Meta::List(l) if l.path.is_ident("cfg") && l.tokens.to_string() == "test");
        cfg_test || text.as_deref() == Some("test")
    })
}

impl<'ast> Visit<'ast> for Checker<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, item.span());
        let before = self.in_tests;
        self.in_tests |= is_test(&item.attrs);
        visit::visit_item_fn(self, item);
        self.in_tests = before;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, item.span());
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig, item.span());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let before = self.in_tests;
        self.in_tests |= is_test(&item.attrs);
        visit::visit_item_mod(self, item);
        self.in_tests = before;
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.unsafe_at(item.span());
        }
        let name = match &*item.self_ty {
            syn::Type::Path(p) => p.path.segments.last().map(|s| s.ident.to_string()),
            _ => None,
        };
        let before = std::mem::replace(&mut self.self_type, name);
        visit::visit_item_impl(self, item);
        self.self_type = before;
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafe_at(block.span());
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_expr_match(&mut self, item: &'ast syn::ExprMatch) {
        let owner = item.arms.iter().find_map(|arm| self.own_enum(&arm.pat));
        let wild = item.arms.iter().find(|arm| matches!(arm.pat, syn::Pat::Wild(_)));
        if let (Some(owner), Some(wild), false) = (owner, wild, self.in_tests) {
            self.report(
                wild.span(),
                format!("`_` in a match on our own enum {owner}; name the variants"),
            );
        }
        visit::visit_expr_match(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("ignore") {
            self.report(attribute.span(), "an ignored test");
        }
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let name = item
            .path
            .segments
            .last()
            .map(|s| s.ident.to_string())
            .unwrap_or_default();
        if [concat!("to", "do"), concat!("unimpl", "emented")].contains(&name.as_str()) {
            self.report(item.span(), format!("{name}! stands for work not done"));
        }
        visit::visit_macro(self, item);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let Some(last) = function.path.segments.last()
        {
            self.call(&last.ident);
        }
        visit::visit_expr_call(self, call);
    }
}
