# readme HEADING NUMBER [FILE] prints the commands of a block of a section of README.md,
# or another file, which is in the working directory. To be sourced.
readme() {
	awk -v heading="$1" -v wanted="$2" '
		/^#/ { inside = $0 == heading; block = code = 0; next }
		inside && /^    / {
			if (!code) block++
			code = 1
			if (block == wanted) { print substr($0, 5); found = 1 }
		}
		inside && !/^    / { code = 0 }
		END { exit !found }' "${3:-README.md}"
}
