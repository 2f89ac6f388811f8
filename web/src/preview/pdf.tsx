// Renders a PDF with pdf.js, page by page while scrolling. Scripts in the document are never executed.
import * as pdfjs from 'pdfjs-dist'
import worker from 'pdfjs-dist/build/pdf.worker.min.mjs?worker&url'
import { useEffect, useRef, useState } from 'preact/hooks'
import { contentUrl, type StoredFile } from '../api/client'
import { Loading } from '../components/states'
import { count } from '../format'

pdfjs.GlobalWorkerOptions.workerSrc = worker

type Props = { file: StoredFile; onError: () => void }

export default function Pdf({ file, onError }: Props) {
  const [pdf, setPdf] = useState<pdfjs.PDFDocumentProxy | null>(null)
  const [ratio, setRatio] = useState(1.4)
  useEffect(() => {
    const task = pdfjs.getDocument({
      url: contentUrl(file.id),
      isEvalSupported: false,
      enableXfa: false,
      useWasm: false,
      disableAutoFetch: true,
    })
    let unmounted = false
    task.promise.then(
      async (document) => {
        const first = (await document.getPage(1)).getViewport({ scale: 1 })
        if (unmounted) return
        setRatio(first.height / first.width)
        setPdf(document)
      },
      () => unmounted || onError(),
    )
    return () => {
      unmounted = true
      void task.destroy()
    }
  }, [file.id])
  if (!pdf) return <Loading text="Loading document" />
  return (
    <div class="page-text pdf" tabIndex={0} role="region" aria-label={`${file.name}, ${count(pdf.numPages, 'page')}`}>
      {Array.from({ length: pdf.numPages }, (_, index) => (
        <Page key={index} pdf={pdf} number={index + 1} ratio={ratio} />
      ))}
    </div>
  )
}

function Page({ pdf, number, ratio }: { pdf: pdfjs.PDFDocumentProxy; number: number; ratio: number }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    const element = canvas.current
    if (!element) return
    let rendering: pdfjs.RenderTask | undefined
    const render = async () => {
      const page = await pdf.getPage(number)
      const scale = (element.clientWidth * devicePixelRatio) / page.getViewport({ scale: 1 }).width
      const viewport = page.getViewport({ scale })
      element.width = viewport.width
      element.height = viewport.height
      rendering = page.render({ canvas: element, viewport })
      await rendering.promise
    }
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (!entry?.isIntersecting) return
        observer.disconnect()
        render().catch(() => {})
      },
      { rootMargin: '600px' },
    )
    observer.observe(element)
    return () => {
      observer.disconnect()
      rendering?.cancel()
    }
  }, [pdf, number])
  return <canvas ref={canvas} role="img" aria-label={`Page ${number}`} style={{ aspectRatio: `${1 / ratio}` }} />
}
