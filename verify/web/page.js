"use strict";
(() => {
	const maxEvidence = {{.MaxEvidence}}, maxTrust = {{.MaxTrust}}, maxListed = 500;
	const byId = (id) => document.getElementById(id);

	// Whatever comes from a file becomes text and nothing else. What would move or hide text is made visible.
	const plain = (text) => String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\uFFFD");
	const laidOut = (text) => String(text).replace(/(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\uFFFD");
	const element = (name, attributes, ...children) => {
		const e = document.createElement(name);
		for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
		e.append(...children);
		return e;
	};
	const size = (bytes) => bytes < 1024 ? `${bytes} bytes` : bytes < 1 << 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`;
	const say = (text) => { byId("status").textContent = plain(text); };

	const checker = Uint8Array.from(atob(byId("checker").textContent), (c) => c.charCodeAt(0));
	const script = URL.createObjectURL(new Blob([byId("worker").textContent], {type: "text/javascript"}));
	const scripts = window.trustedTypes?.createPolicy("caio-worker", {createScriptURL: () => script});

	let evidence, trust; // File, text
	let worker, wanted = new Map();

	// start checks what there is. A worker does it, so that the page stays usable, and a new one each time: the last file can't be in the way.
	const start = async () => {
		worker?.terminate();
		wanted = new Map();
		byId("result").hidden = true;
		if (!evidence || !trust) {
			say(evidence ? "The trust file is still missing." : trust ? "The evidence is still missing." : "");
			return;
		}
		if (evidence.size > maxEvidence) {
			say(`Nothing was checked. ${evidence.name} has ${evidence.size} bytes, and evidence at most ${maxEvidence}.`);
			return;
		}
		say(`Checking ${evidence.name}, ${size(evidence.size)}. A large file takes a while; the page stays usable.`);
		const mine = worker = new Worker(scripts ? scripts.createScriptURL("") : script);
		const broken = (why) => { if (mine === worker) say(`The check broke off, and nothing is known of this file: ${why}`); };
		mine.onerror = (event) => { event.preventDefault(); broken(event.message); };
		mine.onmessage = ({data}) => {
			if (mine !== worker) return;
			if (data.broken !== undefined) broken(data.broken);
			else if (data.result) show(data.result);
			else wanted.get(data.part).textContent = laidOut(data.text);
		};
		const name = evidence.name, text = trust;
		try {
			const file = await evidence.arrayBuffer();
			if (mine === worker) mine.postMessage({checker, file, trust: text}, [file]);
		} catch (error) {
			broken(`${name} can't be read: ${error.message}`);
		}
	};

	const show = (result) => {
		if (result.error) {
			say(`Nothing was checked. ${result.error}`);
			return;
		}
		const {report} = result;
		const verdict = byId("verdict");
		verdict.className = report.verdict === "refused" ? "fail" : "";
		verdict.textContent = plain(report.summary);
		const facts = result.facts ?? [];
		byId("facts").replaceChildren(...facts.flatMap(({name, text}) => pair(name, text)));
		byId("said").hidden = !facts.length;
		byId("vouched").textContent = report.facts?.signed ? "As the issuer signed it." : "As the file says it: the layers signature and document did not both pass, so nobody whom you trust vouches for it.";
		byId("about").replaceChildren(...[["File", evidence.name], ["Trusted issuer", result.issuer]].flatMap(([name, text]) => pair(name, text)));
		byId("layers").replaceChildren(...report.layers.map((l) => layer(l, result.shows[l.layer])));
		list("sentences", report.sentences);
		byId("decision").hidden = !report.sentences.length;
		list("not-shown", report.not_shown);
		byId("parts").replaceChildren(...listed(result.parts ?? []));
		byId("inside").hidden = !result.parts?.length;
		byId("result").hidden = false;
		say(`Checked ${evidence.name}.`);
		verdict.focus();
	};

	const pair = (name, text) => [element("dt", {}, name), element("dd", {class: "value"}, plain(text))];
	const list = (id, lines) => byId(id).replaceChildren(...lines.map((line) => element("li", {}, plain(line))));
	const marks = {pass: "✓", fail: "✗", inconclusive: "?", skipped: "·"};

	const layer = (l, shows) => {
		const why = element("div", {class: "why"});
		if (l.status === "pass") why.append(element("p", {}, "Shows ", plain(shows), "."));
		if (l.reason) why.append(element("p", {class: "reason"}, plain(l.reason)));
		const values = [["At", l.pointer], ["Should be", l.want], ["Is", l.got]];
		if (values.some(([, text]) => text)) why.append(element("dl", {}, ...values.filter(([name, text]) => text || name !== "At").flatMap(([name, text]) => pair(name, text || "nothing"))));
		const mark = element("span", {"aria-hidden": "true"}, `${marks[l.status]} `);
		return element("li", {"data-layer": l.layer, "data-status": l.status}, element("span", {class: "name"}, plain(l.layer)), element("span", {class: `status ${l.status}`}, mark, l.status), why);
	};

	// listed are the parts, each of which is read when it is opened.
	const listed = (parts) => {
		const rows = parts.slice(0, maxListed).map((p, n) => {
			const text = element("pre", {tabindex: "0", "aria-label": plain(p.name)});
			const row = element("details", {}, element("summary", {}, element("span", {class: "value"}, plain(p.name)), ` (${size(p.size)})`), text);
			row.addEventListener("toggle", () => {
				if (!row.open || wanted.has(n)) return;
				wanted.set(n, text);
				worker.postMessage({part: n});
			});
			return row;
		});
		if (parts.length > maxListed) rows.push(element("p", {class: "note"}, `And ${parts.length - maxListed} more, which any tar program lists.`));
		return rows;
	};

	// chosen shows a file that was dropped as one that was chosen.
	const chosen = (id, file) => {
		const files = new DataTransfer();
		if (file) files.items.add(file);
		byId(id).files = files.files;
	};
	const useTrust = async (file, note) => {
		trust = undefined;
		const fits = file && file.size <= maxTrust;
		byId("trust-note").textContent = file && !fits ? "Too large for a trust file." : note;
		if (fits) trust = await file.text();
	};
	const isEvidence = async (file) => {
		const [a, b] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
		return a === 0x1f && b === 0x8b || file.name.endsWith(".caio");
	};

	byId("evidence").addEventListener("change", ({target}) => {
		evidence = target.files[0];
		start();
	});
	byId("trust").addEventListener("change", async ({target}) => {
		await useTrust(target.files[0], "");
		start();
	});
	byId("trust-text").addEventListener("change", async ({target}) => {
		const pasted = target.value.trim() !== "";
		chosen("trust");
		await useTrust(pasted ? new Blob([target.value]) : undefined, pasted ? "The pasted text is used." : "");
		start();
	});
	byId("form").addEventListener("submit", (event) => event.preventDefault());
	const dragging = (on) => (event) => {
		event.preventDefault();
		document.body.classList.toggle("dragging", on);
	};
	document.addEventListener("dragover", dragging(true));
	document.addEventListener("dragleave", dragging(false));
	document.addEventListener("drop", async (event) => {
		dragging(false)(event);
		for (const file of [...event.dataTransfer.files]) {
			const is = await isEvidence(file);
			chosen(is ? "evidence" : "trust", file);
			if (is) evidence = file;
			else await useTrust(file, "");
		}
		start();
	});
})();
