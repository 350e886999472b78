"use strict";
// Gets {checker, file, trust} once: bytes of the compressed program, bytes of the evidence, text of the trust file. Answers {result}. After that {part: n} is answered with {part: n, text}.
onmessage = async ({data}) => {
	if (data.checker === undefined) {
		postMessage({part: data.part, text: readPart(data.part)});
		return;
	}
	try {
		const go = new Go();
		const unpacked = new Blob([data.checker]).stream().pipeThrough(new DecompressionStream("gzip"));
		const program = await WebAssembly.instantiate(await new Response(unpacked).arrayBuffer(), go.importObject);
		go.run(program.instance);
		postMessage({result: JSON.parse(checkEvidence(new Uint8Array(data.file), data.trust))});
	} catch (error) {
		postMessage({broken: String(error)});
	}
};
