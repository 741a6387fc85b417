// What a page or a module says first about itself.

/** The first paragraph below the title, on one line, without links; empty where a block comes first. */
export const firstParagraph = (page: string): string => {
  const [, paragraph = ""] =
    /^# .+\n\n((?!```|#|\||- )[\s\S]*?)(?:\n\n|\n*$)/.exec(page.replaceAll(/<!--[\s\S]*?-->\n*/g, "")) ?? []
  return plain(paragraph)
}

/** The first paragraph of the comment that a module opens with, on one line. */
export const moduleSentence = (source: string): string => {
  const [, comment = ""] = /^\/\*\*\n([\s\S]*?)\*\//.exec(source) ?? []
  return plain(comment.replaceAll(/^ \* ?/gm, "").trim().split(/\n\n|\n@/, 1).join(""))
}

const plain = (text: string) =>
  text.replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/\{@link (\w+)\}/g, "$1").replaceAll(/\s+/g, " ").trim()
